using TorchSharp;
using static TorchSharp.torch;

namespace DiffusionGemma;

internal static partial class Kernels
{
    /// <summary>y = x Wᵀ, computed in float32 (in float64 where x is) and rounded once.</summary>
    /// <param name="x">[...,in], on the CPU.</param>
    /// <param name="weight">W [out,in].</param>
    /// <param name="outputs">out.</param>
    /// <returns>[...,out], in the dtype of <paramref name="x"/>.</returns>
    public static Tensor Linear(Tensor x, IStoredRows weight, long outputs)
    {
        using var scope = NewDisposeScope();
        Tensor rows = Widened(x.reshape(-1, weight.Columns));
        // No view of another tensor is returned: autograd lets nobody change such a result of its functions in place.
        Tensor y = empty([.. x.shape[..^1], outputs], dtype: rows.dtype);
        LinearInto(rows, weight, outputs, [rows.shape[0]], y.view(-1, outputs));
        return y.to(x.dtype).MoveToOuterDisposeScope();
    }

    /// <summary>y = a B, computed in float32 (in float64 where a is) and rounded once.</summary>
    /// <param name="a">[N,K], on the CPU.</param>
    /// <param name="b">B [K,M].</param>
    /// <returns>[N,M], in the dtype of <paramref name="a"/>.</returns>
    public static Tensor MatMul(Tensor a, IStoredRows b) => GroupedMatMul(a, b, [a.shape[0]]);

    /// <summary>y = x W_eᵀ for each expert's rows of x, computed in float32 (in float64 where x is) and rounded once.</summary>
    /// <param name="x">[N,in], on the CPU, the rows of one expert after those of the one before it.</param>
    /// <param name="weights">W [E·out,in].</param>
    /// <param name="outputs">out.</param>
    /// <param name="counts">[E]: how many rows are each expert's, N in all.</param>
    /// <returns>[N,out], in the dtype of <paramref name="x"/>.</returns>
    public static Tensor GroupedLinear(Tensor x, IStoredRows weights, long outputs, long[] counts)
    {
        using var scope = NewDisposeScope();
        Tensor wide = Widened(x), y = empty(x.shape[0], outputs, dtype: wide.dtype);
        LinearInto(wide, weights, outputs, counts, y);
        return y.to(x.dtype).MoveToOuterDisposeScope();
    }

    private static void LinearInto(Tensor x, IStoredRows weights, long outputs, long[] counts, Tensor y)
    {
        if (!IsManaged(x) || !Managed.TryLinear(x, weights, outputs, counts, y)) LibTorchKernels.GroupedLinearInto(x, weights, counts, y);
    }

    /// <summary>y = a B_e for each expert's rows of a, computed in float32 (in float64 where a is) and rounded once.</summary>
    /// <param name="a">[N,K], on the CPU, the rows of one expert after those of the one before it.</param>
    /// <param name="b">B [E·K,M].</param>
    /// <param name="counts">[E]: how many rows are each expert's, N in all.</param>
    /// <returns>[N,M], in the dtype of <paramref name="a"/>.</returns>
    public static Tensor GroupedMatMul(Tensor a, IStoredRows b, long[] counts)
    {
        using var scope = NewDisposeScope();
        Tensor wide = Widened(a), y = empty(a.shape[0], b.Columns, dtype: wide.dtype);
        if (!IsManaged(wide) || !Managed.TryMatMul(wide, b, counts, y)) LibTorchKernels.GroupedMatMulInto(wide, b, counts, y);
        return y.to(a.dtype).MoveToOuterDisposeScope();
    }

    /// <summary>Rows [N,K] in at least float32, contiguous.</summary>
    private static Tensor Widened(Tensor rows) =>
        rows.device_type == DeviceType.CPU
            ? rows.to(rows.dtype.AtLeastFloat32()).contiguous()
            : throw new ArgumentException($"Products with stored rows run on the CPU; these rows are on {rows.device}.", nameof(rows));
}
