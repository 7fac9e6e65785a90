using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace DiffusionGemma;

/// <summary>
/// y = x Wᵀ on bare memory, as sums over numbers that lie together in both matrices, so that neither is copied into another order. A block of x stays in
/// the second-level cache while W passes by once; a row's result does not depend on the rows beside it.
/// </summary>
internal static unsafe class DotProducts<L>
    where L : struct, ILanes<L>
{
    /// <summary>Rows of W that are used at a time.</summary>
    public const int Outputs = 8;

    /// <summary>Numbers of a row that are used at a time: eight rows of W then fit the first-level cache.</summary>
    private const long InnerBlock = 1024;

    /// <summary>Rows of x that are used at a time: with <see cref="InnerBlock"/>, 384 KiB.</summary>
    private const long RowBlock = 96;

    /// <param name="x">[rows,inputs].</param>
    /// <param name="rows">Any number.</param>
    /// <param name="w">[outputs,inputs], float32 or bfloat16.</param>
    /// <param name="outputs">A multiple of <see cref="Outputs"/>.</param>
    /// <param name="inputs">A multiple of <see cref="ILanes{T}.Count"/>.</param>
    /// <param name="y">[rows,outputs]; written.</param>
    /// <param name="stride">Between y's rows.</param>
    [SkipLocalsInit]
    public static void Run(float* x, long rows, Weights w, long outputs, long inputs, float* y, long stride)
    {
        float* widened = stackalloc float[w.AreNarrow ? (int)(Outputs * InnerBlock) : 1];
        // Fewer numbers of a row leave room for more rows.
        long block = RowBlock * Math.Max(1, InnerBlock / inputs);
        for (long first = 0; first < rows; first += block)
        {
            long count = Math.Min(block, rows - first);
            for (long start = 0; start < inputs; start += InnerBlock)
            {
                nint inner = (nint)Math.Min(InnerBlock, inputs - start);
                for (long o = 0; o < outputs; o += Outputs)
                {
                    float* part = w.Part(o * inputs + start, inputs, Outputs, inner, widened, out nint apart), to = y + first * stride + o;
                    float* from = x + first * inputs + start;
                    if (L.HasManyRegisters) Pairs(from, (nint)inputs, count, part, apart, inner, to, (nint)stride, start > 0);
                    else
                    {
                        Triples(from, (nint)inputs, count, part, apart, inner, to, (nint)stride, start > 0);
                        Triples(from, (nint)inputs, count, part + 4 * apart, apart, inner, to + 4, (nint)stride, start > 0);
                    }
                }
            }
        }
    }

    private static void Pairs(float* x, nint xStride, long rows, float* w, nint wStride, nint inner, float* y, nint yStride, bool adds)
    {
        for (long r = 0; r < rows; r += 2)
        {
            long other = Math.Min(r + 1, rows - 1);                                            // an odd last row is computed twice
            TwoByEight(
                x + r * xStride, x + other * xStride, w, wStride, inner, y + r * yStride, y + other * yStride, adds, w + (16 + r % Outputs) * wStride);
        }
    }

    private static void Triples(float* x, nint xStride, long rows, float* w, nint wStride, nint inner, float* y, nint yStride, bool adds)
    {
        long r = 0;
        for (; r + 2 < rows; r += 3)
            ThreeByFour(x + r * xStride, xStride, w, wStride, inner, y + r * yStride, yStride, adds, w + (Outputs + r / 3 % 4) * wStride);
        if (r == rows) return;
        long other = Math.Min(r + 1, rows - 1);
        TwoByFour(x + r * xStride, x + other * xStride, w, wStride, inner, y + r * yStride, y + other * yStride, adds);
    }

    /// <summary>
    /// Two rows of x beside eight of W: sixteen sums, each over the lanes of a register. Fetches two of the eight rows after the next eight into the
    /// second-level cache (the first level's has no room for them).
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void TwoByEight(float* x0, float* x1, float* w0, nint stride, nint inner, float* y0, float* y1, bool adds, float* next)
    {
        L a0 = L.Create(0), a1 = a0, a2 = a0, a3 = a0, a4 = a0, a5 = a0, a6 = a0, a7 = a0;
        L b0 = a0, b1 = a0, b2 = a0, b3 = a0, b4 = a0, b5 = a0, b6 = a0, b7 = a0;
        float* w1 = w0 + stride, w2 = w1 + stride, w3 = w2 + stride, w4 = w3 + stride, w5 = w4 + stride, w6 = w5 + stride, w7 = w6 + stride;
        for (nint i = 0; i < inner; i += L.Count)
        {
            Prefetch.Far(next + i);
            Prefetch.Far(next + stride + i);
            L u = L.Load(x0 + i), v = L.Load(x1 + i), w = L.Load(w0 + i);
            (a0, b0) = (L.MultiplyAdd(u, w, a0), L.MultiplyAdd(v, w, b0));
            w = L.Load(w1 + i);
            (a1, b1) = (L.MultiplyAdd(u, w, a1), L.MultiplyAdd(v, w, b1));
            w = L.Load(w2 + i);
            (a2, b2) = (L.MultiplyAdd(u, w, a2), L.MultiplyAdd(v, w, b2));
            w = L.Load(w3 + i);
            (a3, b3) = (L.MultiplyAdd(u, w, a3), L.MultiplyAdd(v, w, b3));
            w = L.Load(w4 + i);
            (a4, b4) = (L.MultiplyAdd(u, w, a4), L.MultiplyAdd(v, w, b4));
            w = L.Load(w5 + i);
            (a5, b5) = (L.MultiplyAdd(u, w, a5), L.MultiplyAdd(v, w, b5));
            w = L.Load(w6 + i);
            (a6, b6) = (L.MultiplyAdd(u, w, a6), L.MultiplyAdd(v, w, b6));
            w = L.Load(w7 + i);
            (a7, b7) = (L.MultiplyAdd(u, w, a7), L.MultiplyAdd(v, w, b7));
        }
        // The second row is read before the first is written: they may be the same.
        Vector128<float> second = Before(y1, adds), secondRight = Before(y1 + 4, adds);
        (Before(y0, adds) + L.Sums(a0, a1, a2, a3)).Store(y0);
        (Before(y0 + 4, adds) + L.Sums(a4, a5, a6, a7)).Store(y0 + 4);
        (second + L.Sums(b0, b1, b2, b3)).Store(y1);
        (secondRight + L.Sums(b4, b5, b6, b7)).Store(y1 + 4);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void ThreeByFour(float* x0, nint xStride, float* w0, nint stride, nint inner, float* y, nint yStride, bool adds, float* next)
    {
        L a0 = L.Create(0), a1 = a0, a2 = a0, a3 = a0, b0 = a0, b1 = a0, b2 = a0, b3 = a0, c0 = a0, c1 = a0, c2 = a0, c3 = a0;
        float* x1 = x0 + xStride, x2 = x1 + xStride, w1 = w0 + stride, w2 = w1 + stride, w3 = w2 + stride;
        for (nint i = 0; i < inner; i += L.Count)
        {
            Prefetch.Far(next + i);
            L t = L.Load(x0 + i), u = L.Load(x1 + i), v = L.Load(x2 + i), w = L.Load(w0 + i);
            (a0, b0, c0) = (L.MultiplyAdd(t, w, a0), L.MultiplyAdd(u, w, b0), L.MultiplyAdd(v, w, c0));
            w = L.Load(w1 + i);
            (a1, b1, c1) = (L.MultiplyAdd(t, w, a1), L.MultiplyAdd(u, w, b1), L.MultiplyAdd(v, w, c1));
            w = L.Load(w2 + i);
            (a2, b2, c2) = (L.MultiplyAdd(t, w, a2), L.MultiplyAdd(u, w, b2), L.MultiplyAdd(v, w, c2));
            w = L.Load(w3 + i);
            (a3, b3, c3) = (L.MultiplyAdd(t, w, a3), L.MultiplyAdd(u, w, b3), L.MultiplyAdd(v, w, c3));
        }
        (Before(y, adds) + L.Sums(a0, a1, a2, a3)).Store(y);
        y += yStride;
        (Before(y, adds) + L.Sums(b0, b1, b2, b3)).Store(y);
        y += yStride;
        (Before(y, adds) + L.Sums(c0, c1, c2, c3)).Store(y);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void TwoByFour(float* x0, float* x1, float* w0, nint stride, nint inner, float* y0, float* y1, bool adds)
    {
        L a0 = L.Create(0), a1 = a0, a2 = a0, a3 = a0, b0 = a0, b1 = a0, b2 = a0, b3 = a0;
        float* w1 = w0 + stride, w2 = w1 + stride, w3 = w2 + stride;
        for (nint i = 0; i < inner; i += L.Count)
        {
            L u = L.Load(x0 + i), v = L.Load(x1 + i), w = L.Load(w0 + i);
            (a0, b0) = (L.MultiplyAdd(u, w, a0), L.MultiplyAdd(v, w, b0));
            w = L.Load(w1 + i);
            (a1, b1) = (L.MultiplyAdd(u, w, a1), L.MultiplyAdd(v, w, b1));
            w = L.Load(w2 + i);
            (a2, b2) = (L.MultiplyAdd(u, w, a2), L.MultiplyAdd(v, w, b2));
            w = L.Load(w3 + i);
            (a3, b3) = (L.MultiplyAdd(u, w, a3), L.MultiplyAdd(v, w, b3));
        }
        Vector128<float> second = Before(y1, adds);
        (Before(y0, adds) + L.Sums(a0, a1, a2, a3)).Store(y0);
        (second + L.Sums(b0, b1, b2, b3)).Store(y1);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector128<float> Before(float* y, bool adds) => adds ? Vector128.Load(y) : Vector128<float>.Zero;
}
