using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace DiffusionGemma;

/// <summary>
/// y = x Wᵀ on bare memory, as sums over numbers that lie together in both matrices, so that neither is copied into another order. A block
/// of x stays in the second-level cache while W passes by once; a row's result does not depend on the rows beside it.
/// </summary>
internal static unsafe class DotProducts<L>
    where L : struct, ILanes<L>
{
    /// <summary>Rows of W that are used at a time.</summary>
    public const int Outputs = 8;

    /// <summary>Numbers of a row that are used at a time: eight rows of W and a tile's of x then fit the first-level cache.</summary>
    private const long InnerBlock = 512;

    /// <summary>Rows of x that are used at a time: with <see cref="InnerBlock"/>, 384 KiB.</summary>
    private const long RowBlock = 192;

    /// <summary>Rows of x of a whole tile, beside four of W.</summary>
    private static int TileRows => L.HasManyRegisters ? 4 : 3;

    /// <param name="x">[rows,inputs].</param>
    /// <param name="rows">Any number.</param>
    /// <param name="w">[outputs,inputs].</param>
    /// <param name="outputs">A multiple of <see cref="Outputs"/>.</param>
    /// <param name="inputs">A multiple of <see cref="ILanes{T}.Count"/>.</param>
    /// <param name="y">[rows,outputs]; written.</param>
    /// <param name="stride">Between y's rows.</param>
    public static void Run(float* x, long rows, float* w, long outputs, long inputs, float* y, long stride)
    {
        long block = RowBlock * Math.Max(1, InnerBlock / inputs);
        for (long first = 0; first < rows; first += block)
        {
            long count = Math.Min(block, rows - first);
            for (long start = 0; start < inputs; start += InnerBlock)
            {
                nint inner = (nint)Math.Min(InnerBlock, inputs - start), apart = (nint)inputs;
                for (long o = 0; o < outputs; o += Outputs)
                {
                    float* part = w + o * inputs + start, from = x + first * inputs + start, to = y + first * stride + o;
                    long row = 0;
                    for (; row + TileRows <= count; row += TileRows, from += TileRows * inputs, to += TileRows * stride)
                    {
                        float* next = part + (Outputs + row / TileRows % 4 * 2) * apart;
                        Whole(from, (nint)inputs, part, apart, inner, to, (nint)stride, start > 0, next);
                        Whole(from, (nint)inputs, part + 4 * apart, apart, inner, to + 4, (nint)stride, start > 0, next + apart);
                    }
                    for (; row < count; row += 2, from += 2 * inputs, to += 2 * stride)
                    {
                        bool single = row + 1 == count;                                        // an odd last row is computed twice
                        TwoByFour(from, single ? from : from + inputs, part, apart, inner, to, single ? to : to + stride, start > 0);
                        TwoByFour(
                            from, single ? from : from + inputs, part + 4 * apart, apart, inner,
                            to + 4, (single ? to : to + stride) + 4, start > 0);
                    }
                }
            }
        }
    }

    private static void Whole(float* x, nint xStride, float* w, nint wStride, nint inner, float* y, nint yStride, bool adds, float* next)
    {
        if (L.HasManyRegisters) FourByFour(x, xStride, w, wStride, inner, y, yStride, adds, next);
        else ThreeByFour(x, xStride, w, wStride, inner, y, yStride, adds, next);
    }

    /// <summary>
    /// Four rows of x beside four of W: sixteen sums, each over the lanes of a register. Fetches another row of W into the second-level
    /// cache (the first level's has no room for it).
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void FourByFour(float* x0, nint xStride, float* w0, nint stride, nint inner, float* y, nint yStride, bool adds,
        float* next)
    {
        L a0 = L.Create(0), a1 = a0, a2 = a0, a3 = a0, b0 = a0, b1 = a0, b2 = a0, b3 = a0;
        L c0 = a0, c1 = a0, c2 = a0, c3 = a0, d0 = a0, d1 = a0, d2 = a0, d3 = a0;
        float* x1 = x0 + xStride, x2 = x1 + xStride, x3 = x2 + xStride, w1 = w0 + stride, w2 = w1 + stride, w3 = w2 + stride;
        for (nint i = 0; i < inner; i += L.Count)
        {
            Prefetch.Far(next + i);
            L s = L.Load(x0 + i), t = L.Load(x1 + i), u = L.Load(x2 + i), v = L.Load(x3 + i), w = L.Load(w0 + i);
            (a0, b0, c0, d0) = (L.MultiplyAdd(s, w, a0), L.MultiplyAdd(t, w, b0), L.MultiplyAdd(u, w, c0), L.MultiplyAdd(v, w, d0));
            w = L.Load(w1 + i);
            (a1, b1, c1, d1) = (L.MultiplyAdd(s, w, a1), L.MultiplyAdd(t, w, b1), L.MultiplyAdd(u, w, c1), L.MultiplyAdd(v, w, d1));
            w = L.Load(w2 + i);
            (a2, b2, c2, d2) = (L.MultiplyAdd(s, w, a2), L.MultiplyAdd(t, w, b2), L.MultiplyAdd(u, w, c2), L.MultiplyAdd(v, w, d2));
            w = L.Load(w3 + i);
            (a3, b3, c3, d3) = (L.MultiplyAdd(s, w, a3), L.MultiplyAdd(t, w, b3), L.MultiplyAdd(u, w, c3), L.MultiplyAdd(v, w, d3));
        }
        (Before(y, adds) + L.Sums(a0, a1, a2, a3)).Store(y);
        y += yStride;
        (Before(y, adds) + L.Sums(b0, b1, b2, b3)).Store(y);
        y += yStride;
        (Before(y, adds) + L.Sums(c0, c1, c2, c3)).Store(y);
        y += yStride;
        (Before(y, adds) + L.Sums(d0, d1, d2, d3)).Store(y);
    }

    /// <summary>The same of three rows of x, for half as many registers.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void ThreeByFour(float* x0, nint xStride, float* w0, nint stride, nint inner, float* y, nint yStride, bool adds,
        float* next)
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

    /// <summary>The same of two rows of x, which may be one and the same.</summary>
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
        // Before the first is written: they may be the same.
        Vector128<float> second = Before(y1, adds);
        (Before(y0, adds) + L.Sums(a0, a1, a2, a3)).Store(y0);
        (second + L.Sums(b0, b1, b2, b3)).Store(y1);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector128<float> Before(float* y, bool adds) => adds ? Vector128.Load(y) : Vector128<float>.Zero;
}
