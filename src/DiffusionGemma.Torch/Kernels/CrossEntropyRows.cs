using System.Runtime.CompilerServices;

namespace DiffusionGemma;

/// <summary>
/// Soft-capped cross-entropy of one row of logits, in three passes while the row is in the second-level cache, in place of ten operators.
/// With u = σ(2z / c) the soft-capped logit is s = c · tanh(z / c) = c (2u - 1), so that a softmax needs 2c · u alone, and its derivative
/// is 1 - (s / c)² = 4u (1 - u).
/// </summary>
internal static unsafe class CrossEntropyRows<L>
    where L : struct, ILanes<L>
{
    /// <summary>Numbers that are added up in float32; the sums of such runs are added in float64.</summary>
    private const long Run = 1024;

    /// <summary>logsumexp(s) - s_target.</summary>
    /// <param name="z">[columns]; overwritten, with dz where it is wanted.</param>
    /// <param name="weights">[columns], scratch.</param>
    /// <param name="columns">A multiple of <see cref="ILanes{T}.Count"/>.</param>
    /// <param name="target">The right column.</param>
    /// <param name="cap">c.</param>
    /// <param name="withGradient">Whether dz = (softmax(s) - onehot) · (1 - (s / c)²) is wanted.</param>
    public static double Loss(float* z, float* weights, long columns, long target, double cap, bool withGradient)
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

    /// <summary>z becomes u = σ(scale · z); returns the largest, which is any number where one of them is none.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static float Sigmoids(float* z, long count, float scale)
    {
        L largest = L.Create(0), factor = L.Create(scale);
        for (long i = 0; i < count; i += L.Count)
        {
            L u = LanesMath<L>.Sigmoid(L.Load(z + i) * factor);
            u.Store(z + i);
            largest = L.Max(u, largest);
        }
        float* lanes = stackalloc float[L.Count];
        largest.Store(lanes);
        float top = 0;
        for (int lane = 0; lane < L.Count; lane++) top = Math.Max(top, lanes[lane]);
        return top;
    }

    /// <summary>w = exp(scale · (u - top)); returns Σ w.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static double Weights(float* u, float* w, long count, float top, float scale)
    {
        L largest = L.Create(top), factor = L.Create(scale);
        double total = 0;
        for (long start = 0; start < count; start += Run)
        {
            L sum = L.Create(0);
            for (long i = start, end = Math.Min(start + Run, count); i < end; i += L.Count)
            {
                L weight = LanesMath<L>.Exp((L.Load(u + i) - largest) * factor);
                weight.Store(w + i);
                sum += weight;
            }
            total += sum.Sum();
        }
        return total;
    }

    /// <summary>u becomes w / total · 4u (1 - u).</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Gradient(float* u, float* w, long count, float inverse)
    {
        L factor = L.Create(4 * inverse), one = L.Create(1);
        for (long i = 0; i < count; i += L.Count)
        {
            L x = L.Load(u + i);
            (L.Load(w + i) * factor * (x * (one - x))).Store(u + i);
        }
    }
}
