using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;
using static TorchSharp.torch;
using Lanes = System.Runtime.Intrinsics.Vector512<float>;

namespace DiffusionGemma;

/// <summary>
/// What <see cref="HeadLoss"/> makes of its logits, for float32 on one core with AVX-512: three passes over each row while it is in the second-level
/// cache, in place of ten operators. With u = σ(2z / c) the soft-capped logit is s = c · tanh(z / c) = c (2u - 1), of which a softmax needs 2c · u alone,
/// and its derivative is 1 - (s / c)² = 4u (1 - u).
/// </summary>
internal static unsafe class Avx512CrossEntropy
{
    /// <summary>Of a number, about.</summary>
    private const long Operations = 80;

    /// <summary>Numbers that are added up in float32; the sums of such runs are added in float64.</summary>
    private const long Run = 1024;

    /// <summary>Σ logsumexp(s) - s_target over the rows; z is written over, with dz where <paramref name="withGradient"/>.</summary>
    /// <param name="z">[N,V], logits before the soft-cap.</param>
    /// <param name="targets">[N] int64, on the CPU.</param>
    /// <param name="cap">c.</param>
    /// <param name="withGradient">Whether dz = (softmax(s) - onehot) · (1 - (s / c)²) is wanted.</param>
    /// <param name="sum">The loss.</param>
    /// <returns>False where nothing was done: another dtype, device or processor, more threads than one, or a V that is no multiple of sixteen.</returns>
    public static bool TryRun(Tensor z, Tensor targets, double cap, bool withGradient, out double sum)
    {
        sum = 0;
        long columns = z.shape[1];
        if (!Avx512Products.IsPlainFloat(z) || columns % 16 != 0) return false;
        using Tensor ids = targets.contiguous();
        long* at = (long*)NativeTensors.Data(ids);
        double[] losses = new double[z.shape[0]];
        float* data = (float*)NativeTensors.Data(z);
        KernelThreads.For(losses.Length, Operations * z.numel(), (from, to) =>
        {
            float* weights = (float*)NativeMemory.AlignedAlloc((nuint)(columns * sizeof(float)), 64);
            for (long row = from; row < to; row++) losses[row] = Row(data + row * columns, weights, columns, at[row], cap, withGradient);
            NativeMemory.AlignedFree(weights);
        });
        GC.KeepAlive(z);
        GC.KeepAlive(ids);
        sum = losses.Sum();
        return true;
    }

    private static double Row(float* z, float* weights, long columns, long target, double cap, bool withGradient)
    {
        float scale = (float)(2 * cap), top = Sigmoids(z, columns, (float)(2 / cap)), ofTarget = z[target];
        double total = Weights(z, weights, columns, top, scale);
        if (withGradient)
        {
            Gradient(z, weights, columns, (float)(1 / total));
            z[target] -= 4 * ofTarget * (1 - ofTarget);
        }
        return Math.Log(total) - scale * ((double)ofTarget - top);
    }

    /// <summary>z becomes u = σ(scale · z); returns the largest, which where one is no number may be any.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static float Sigmoids(float* z, long count, float scale)
    {
        Lanes largest = Lanes.Zero, factor = Vector512.Create(scale);
        for (long i = 0; i < count; i += 16)
        {
            Lanes u = Avx512Math.Sigmoid(Vector512.Load(z + i) * factor);
            u.Store(z + i);
            largest = Avx512F.Max(u, largest);
        }
        float top = 0;
        for (int lane = 0; lane < 16; lane++) top = Math.Max(top, largest[lane]);
        return top;
    }

    /// <summary>w = exp(scale · (u - top)); returns Σ w.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static double Weights(float* u, float* w, long count, float top, float scale)
    {
        Lanes largest = Vector512.Create(top), factor = Vector512.Create(scale);
        double total = 0;
        for (long start = 0; start < count; start += Run)
        {
            Lanes sum = Lanes.Zero;
            for (long i = start, end = Math.Min(start + Run, count); i < end; i += 16)
            {
                Lanes weight = Avx512Math.Exp((Vector512.Load(u + i) - largest) * factor);
                weight.Store(w + i);
                sum += weight;
            }
            total += Vector512.Sum(sum);
        }
        return total;
    }

    /// <summary>u becomes w / total · 4u (1 - u).</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Gradient(float* u, float* w, long count, float inverse)
    {
        Lanes factor = Vector512.Create(4 * inverse);
        for (long i = 0; i < count; i += 16)
        {
            Lanes x = Vector512.Load(u + i);
            (Vector512.Load(w + i) * factor * (x * (Lanes.One - x))).Store(u + i);
        }
    }
}
