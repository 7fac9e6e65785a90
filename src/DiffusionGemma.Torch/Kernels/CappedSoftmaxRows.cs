using System.Runtime.CompilerServices;

namespace DiffusionGemma;

/// <summary>
/// Softmax over soft-capped scores of one row, in two passes while it is in the second-level cache, in place of eight operators over
/// memory.
/// </summary>
internal static unsafe class CappedSoftmaxRows<L>
    where L : struct, ILanes<L>
{
    /// <summary>Numbers that are added up in float32; the sums of such runs are added in float64.</summary>
    private const long Run = 1024;

    /// <summary>
    /// x becomes w = exp(s - m), in place, with s = scale · σ(x) and m the largest of them. Returns Σ w and the entropy log Σ w - Σ w (s -
    /// m) / Σ w.
    /// </summary>
    /// <param name="x">[columns].</param>
    /// <param name="columns">A multiple of <see cref="ILanes{T}.Count"/>, at most 2²⁴: indices are float32 on the way.</param>
    /// <param name="scale">2 cap / T.</param>
    /// <param name="largest">Where s is largest, the first of equals.</param>
    public static (double Total, double Entropy) Weights(float* x, long columns, float scale, out int largest)
    {
        float top = Scores(x, columns, scale, out largest);
        (double total, double dot) = Weights(x, columns, top);
        return (total, Math.Log(total) - dot / total);
    }

    /// <summary>x becomes s; returns the largest. Where x is no number, s is none, and what is returned counts for nothing.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static float Scores(float* x, long count, float scale, out int index)
    {
        L best = L.Create(float.NegativeInfinity), numerator = L.Create(scale), one = L.Create(1), step = L.Create(L.Count);
        L places = L.Create(0), place = places;
        for (long i = 0; i < count; i += L.Count, place += step)
        {
            L s = numerator / (one + LanesMath<L>.Exp(-L.Load(x + i)));
            s.Store(x + i);
            places = L.WhereGreater(s, best, place, places);
            best = L.Max(s, best);
        }
        float* bests = stackalloc float[L.Count], indices = stackalloc float[L.Count];
        best.Store(bests);
        places.Store(indices);
        float top = bests[0];
        index = (int)indices[0];
        for (int lane = 1; lane < L.Count; lane++)
            if (bests[lane] > top || bests[lane] == top && (int)indices[lane] + lane < index)
                (top, index) = (bests[lane], (int)indices[lane] + lane);
        return top;
    }

    /// <summary>s becomes w = exp(s - top); returns Σ w and Σ w (s - top).</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static (double Total, double Dot) Weights(float* s, long count, float top)
    {
        L largest = L.Create(top);
        double total = 0, dot = 0;
        for (long start = 0; start < count; start += Run)
        {
            L sum = L.Create(0), products = sum;
            for (long i = start, end = Math.Min(start + Run, count); i < end; i += L.Count)
            {
                L y = L.Load(s + i) - largest, w = LanesMath<L>.Exp(y);
                w.Store(s + i);
                sum += w;
                products = L.MultiplyAdd(w, y, products);
            }
            total += sum.Sum();
            dot += products.Sum();
        }
        return (total, dot);
    }
}
