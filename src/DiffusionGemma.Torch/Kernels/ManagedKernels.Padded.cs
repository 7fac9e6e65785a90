using static TorchSharp.torch;

namespace DiffusionGemma;

/// <summary>
/// Products of sizes that are no whole registers, as those of a low rank: zeros are put beside what there is, which change no sum, so that
/// here too a row's result does not depend on the rows beside it. The weight is copied.
/// </summary>
internal sealed unsafe partial class ManagedKernels
{
    /// <summary>y = x W_eᵀ for each expert's rows of x.</summary>
    /// <param name="x">[...,in]; N rows, those of one expert after those of the one before it.</param>
    /// <param name="weights">[E,out,in], or [out,in] of one.</param>
    /// <param name="counts">[E]: how many rows are each expert's, N in all.</param>
    /// <param name="y">[...,out]; written.</param>
    public void PaddedLinear(Tensor x, Tensor weights, long[] counts, Tensor y)
    {
        using var scope = NewDisposeScope();
        long inputs = weights.shape[^1], outputs = weights.shape[^2];
        long moreInputs = Missing(inputs, vectors.Count), moreOutputs = Missing(outputs, vectors.Outputs);
        Tensor from = nn.functional.pad(x.reshape(-1, inputs), [0, moreInputs]).contiguous();
        Tensor to = empty(from.shape[0], outputs + moreOutputs, dtype: y.dtype, device: y.device);
        TryLinear(from, nn.functional.pad(weights, [0, moreInputs, 0, moreOutputs]).contiguous(), counts, to);
        y.copy_(to.narrow(1, 0, outputs).view_as(y));
    }

    /// <summary>y += a B_e for each expert's rows of a.</summary>
    /// <param name="a">[N,K], the rows of one expert after those of the one before it.</param>
    /// <param name="b">[E,K,M], or [K,M] of one.</param>
    /// <param name="counts">[E]: how many rows are each expert's, N in all.</param>
    /// <param name="y">[N,M]; added to.</param>
    public void PaddedAddMatMul(Tensor a, Tensor b, long[] counts, Tensor y)
    {
        using var scope = NewDisposeScope();
        long columns = b.shape[^1], more = Missing(columns, vectors.Columns);
        Tensor to = nn.functional.pad(y, [0, more]).contiguous();
        TryAddMatMul(a.contiguous(), nn.functional.pad(b, [0, more]).contiguous(), counts, to);
        y.copy_(to.narrow(1, 0, columns));
    }

    /// <summary>Returns the number of outputs of y = x Wᵀ that would be added to those there are.</summary>
    public long MissingOutputs(long outputs) => Missing(outputs, vectors.Outputs);

    private static long Missing(long size, long multiple) => (multiple - size % multiple) % multiple;
}
