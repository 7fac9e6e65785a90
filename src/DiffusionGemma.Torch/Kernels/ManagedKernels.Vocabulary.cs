using System.Runtime.InteropServices;
using static TorchSharp.torch;

namespace DiffusionGemma;

internal sealed unsafe partial class ManagedKernels
{
    /// <summary>Operations a number, about.</summary>
    private const long LossOperations = 80, SoftmaxOperations = 60;

    /// <summary>Columns whose indices float32 holds exactly.</summary>
    private const long MostColumns = 1 << 24;

    /// <summary>Σ logsumexp(s) - s_target over the rows; z is overwritten, with dz where <paramref name="withGradient"/>.</summary>
    /// <param name="z">[N,V], logits before the soft-cap.</param>
    /// <param name="targets">[N] or [N,1] int64, on the CPU.</param>
    /// <param name="cap">c.</param>
    /// <param name="withGradient">Whether dz = (softmax(s) - onehot) · (1 - (s / c)²) is wanted.</param>
    /// <returns>The sum; null where nothing was done.</returns>
    public double? TryCappedCrossEntropy(Tensor z, Tensor targets, double cap, bool withGradient)
    {
        long columns = z.shape[1];
        if (!AreContiguous(z) || columns % vectors.Count != 0) return null;
        using Tensor ids = targets.contiguous();
        long* at = (long*)NativeTensors.Data(ids);
        double[] losses = new double[z.shape[0]];
        float* data = Data(z);
        KernelThreads.For(losses.Length, LossOperations * z.numel(), (from, to) =>
        {
            float* weights = (float*)NativeMemory.AlignedAlloc((nuint)(columns * sizeof(float)), 64);
            for (long row = from; row < to; row++)
                losses[row] = vectors.CappedCrossEntropy(data + row * columns, weights, columns, at[row], cap, withGradient);
            NativeMemory.AlignedFree(weights);
        });
        KeepAlive(z, ids);
        return losses.Sum();
    }

    /// <summary>x becomes w = exp(s - m), in place, with s = scale · σ(x) and m its row's largest.</summary>
    /// <param name="x">[N,V].</param>
    /// <param name="scales">[N].</param>
    /// <param name="totals">[N]: Σ w; written.</param>
    /// <param name="entropies">[N]: log Σ w - Σ w (s - m) / Σ w; written.</param>
    /// <param name="largest">[N]: where s is largest, the first of equals; written.</param>
    /// <returns>False where nothing was done.</returns>
    public bool TryCappedSoftmax(Tensor x, double[] scales, double[] totals, double[] entropies, int[] largest)
    {
        long columns = x.shape[1];
        if (!AreContiguous(x) || columns % vectors.Count != 0 || columns > MostColumns) return false;
        float* data = Data(x);
        KernelThreads.For(scales.Length, SoftmaxOperations * x.numel(), (from, to) =>
        {
            for (long row = from; row < to; row++)
                (totals[row], entropies[row]) = vectors.CappedSoftmax(data + row * columns, columns, (float)scales[row], out largest[row]);
        });
        KeepAlive(x);
        return true;
    }
}
