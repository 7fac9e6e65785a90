using static TorchSharp.torch;

namespace DiffusionGemma;

internal static partial class Kernels
{
    /// <summary>
    /// Σ logsumexp(s) - s_target over the rows of soft-capped logits s = c · tanh(z / c); z is overwritten, where a gradient is wanted with
    /// dz = (softmax(s) - onehot) · (1 - (s / c)²).
    /// </summary>
    /// <param name="z">[N,V], logits before the soft-cap.</param>
    /// <param name="targets">[N,1] int64.</param>
    /// <param name="cap">c.</param>
    /// <param name="withGradient">Whether z becomes dz; otherwise its contents are undefined afterwards.</param>
    /// <returns>The sum, a float64 scalar on z's device.</returns>
    public static Tensor CappedCrossEntropy(Tensor z, Tensor targets, double cap, bool withGradient)
    {
        using var scope = NewDisposeScope();
        if (IsManaged(z) && Managed.TryCappedCrossEntropy(z, targets, cap, withGradient) is { } all)
            return tensor(all, ScalarType.Float64, CPU).MoveToOuterDisposeScope();
        // bfloat16 logits are widened a few rows at a time, so that they stay in the cache between the kernel's passes.
        long rows = LibTorchKernels.RowsInCache(z);
        Tensor sum = zeros([], dtype: ScalarType.Float64, device: z.device);
        foreach ((Tensor part, Tensor of) in z.split(rows).Zip(targets.split(rows)))
        {
            using var inner = NewDisposeScope();
            Tensor wide = part.to(part.dtype.AtLeastFloat32());
            if (wide.dtype != part.dtype && IsManaged(wide) && Managed.TryCappedCrossEntropy(wide, of, cap, withGradient) is { } loss)
            {
                sum.add_(loss);
                if (withGradient) part.copy_(wide);
            }
            else sum.add_(LibTorchKernels.CappedCrossEntropy(part, wide, of, cap, withGradient));
        }
        return sum.MoveToOuterDisposeScope();
    }

    /// <summary>
    /// Softmax of soft-capped logits over a temperature, unnormalised: with scores (2 cap / T) · σ(x), which differ from cap · tanh(x / 2)
    /// / T by a constant, x becomes w = exp(score - largest score of its row).
    /// </summary>
    /// <param name="x">[N,V], 2 / cap times the logits, at least float32; overwritten with w.</param>
    /// <param name="cap">The soft-cap.</param>
    /// <param name="temperatures">T of each of the N rows.</param>
    /// <param name="dtype">The model's: probabilities of a narrower one are rounded as its own softmax would.</param>
    /// <param name="sliceElements">Numbers that libtorch's operators take at a time on a CPU, so that they stay in its cache.</param>
    /// <param name="reads">Reads totals, entropies and tokens; null: those of the device.</param>
    public static SoftmaxRows CappedSoftmax(
        Tensor x, double cap, double[] temperatures, ScalarType dtype, long sliceElements, IHostReads? reads = null)
    {
        if (dtype == x.dtype && IsManaged(x))
        {
            int rows = (int)x.shape[0];
            (double[] totals, double[] entropies, int[] largest) = (new double[rows], new double[rows], new int[rows]);
            if (Managed.TryCappedSoftmax(x, Array.ConvertAll(temperatures, t => 2 * cap / t), totals, entropies, largest))
                return new SoftmaxRows(tensor(totals, x.dtype, CPU).unsqueeze(-1), null, totals, entropies, largest);
        }
        return LibTorchKernels.CappedSoftmax(x, cap, temperatures, dtype, sliceElements, reads);
    }
}
