using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;
using Lanes = System.Runtime.Intrinsics.Vector512<float>;

namespace DiffusionGemma;

/// <summary>y = x Wᵀ on bare memory: sums over what lies together in both, so that nothing is laid out anew.</summary>
internal static unsafe class Avx512Transposed
{
    /// <summary>Numbers of the rows that stay in the second-level cache, 384 of 1 024 KiB, while weights pass by.</summary>
    private const long BlockNumbers = 96 << 10;

    /// <param name="x">[rows,inputs].</param>
    /// <param name="rows">Any number.</param>
    /// <param name="w">[outputs,inputs].</param>
    /// <param name="outputs">A multiple of eight.</param>
    /// <param name="inputs">A multiple of sixteen.</param>
    /// <param name="y">[rows,outputs]; written.</param>
    /// <param name="stride">Between y's rows.</param>
    public static void Run(float* x, long rows, float* w, long outputs, long inputs, float* y, long stride)
    {
        long block = Math.Max(2, BlockNumbers / inputs);
        for (long first = 0; first < rows; first += block)
        {
            long end = Math.Min(first + block, rows);
            for (long o = 0; o < outputs; o += 8)
                for (long r = first; r < end; r += 2)
                {
                    long other = Math.Min(r + 1, end - 1);                                     // an odd last row is computed twice
                    Tile(
                        x + r * inputs, x + other * inputs, w + o * inputs, (nint)inputs, y + r * stride + o, y + other * stride + o,
                        w + (o + 16 + (r - first) % 8) * inputs);
                }
        }
    }

    /// <summary>
    /// Two rows of x beside eight of W: sixteen sums of sixteen lanes each, added up at the end. Fetches two of the eight rows after the next eight into the
    /// second-level cache (the first level's has no room for them).
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Tile(float* x0, float* x1, float* w0, nint inputs, float* y0, float* y1, float* next)
    {
        Lanes a0 = Lanes.Zero, a1 = a0, a2 = a0, a3 = a0, a4 = a0, a5 = a0, a6 = a0, a7 = a0, b0 = a0, b1 = a0, b2 = a0, b3 = a0, b4 = a0, b5 = a0, b6 = a0, b7 = a0;
        float* w1 = w0 + inputs, w2 = w1 + inputs, w3 = w2 + inputs, w4 = w3 + inputs, w5 = w4 + inputs, w6 = w5 + inputs, w7 = w6 + inputs;
        for (nint i = 0; i < inputs; i += 16, next += 32)
        {
            Sse.Prefetch1(next);
            Sse.Prefetch1(next + 16);
            Lanes u = Vector512.Load(x0 + i), v = Vector512.Load(x1 + i), w = Vector512.Load(w0 + i);
            (a0, b0) = (Vector512.FusedMultiplyAdd(u, w, a0), Vector512.FusedMultiplyAdd(v, w, b0));
            w = Vector512.Load(w1 + i);
            (a1, b1) = (Vector512.FusedMultiplyAdd(u, w, a1), Vector512.FusedMultiplyAdd(v, w, b1));
            w = Vector512.Load(w2 + i);
            (a2, b2) = (Vector512.FusedMultiplyAdd(u, w, a2), Vector512.FusedMultiplyAdd(v, w, b2));
            w = Vector512.Load(w3 + i);
            (a3, b3) = (Vector512.FusedMultiplyAdd(u, w, a3), Vector512.FusedMultiplyAdd(v, w, b3));
            w = Vector512.Load(w4 + i);
            (a4, b4) = (Vector512.FusedMultiplyAdd(u, w, a4), Vector512.FusedMultiplyAdd(v, w, b4));
            w = Vector512.Load(w5 + i);
            (a5, b5) = (Vector512.FusedMultiplyAdd(u, w, a5), Vector512.FusedMultiplyAdd(v, w, b5));
            w = Vector512.Load(w6 + i);
            (a6, b6) = (Vector512.FusedMultiplyAdd(u, w, a6), Vector512.FusedMultiplyAdd(v, w, b6));
            w = Vector512.Load(w7 + i);
            (a7, b7) = (Vector512.FusedMultiplyAdd(u, w, a7), Vector512.FusedMultiplyAdd(v, w, b7));
        }
        Sums(a0, a1, a2, a3, a4, a5, a6, a7).Store(y0);
        Sums(b0, b1, b2, b3, b4, b5, b6, b7).Store(y1);
    }

    /// <summary>The sums over the lanes of eight vectors.</summary>
    /// <example>
    /// Within each quarter of four lanes, then over the quarters:
    /// <code>
    /// a0 a1 a2 a3     b0 b1 b2 b3     Pairs ->  a0+a2 b0+b2 a1+a3 b1+b3
    /// a02 b02 a13 b13   c02 d02 c13 d13   Fours ->  a b c d
    /// </code>
    /// </example>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector256<float> Sums(Lanes a, Lanes b, Lanes c, Lanes d, Lanes e, Lanes f, Lanes g, Lanes h)
    {
        Lanes abcd = Fours(Pairs(a, b), Pairs(c, d)), efgh = Fours(Pairs(e, f), Pairs(g, h));
        Vector256<float> left = abcd.GetLower() + abcd.GetUpper(), right = efgh.GetLower() + efgh.GetUpper();
        return Vector256.Create(left.GetLower() + left.GetUpper(), right.GetLower() + right.GetUpper());
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Lanes Pairs(Lanes a, Lanes b) => Avx512F.UnpackLow(a, b) + Avx512F.UnpackHigh(a, b);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Lanes Fours(Lanes ab, Lanes cd) => Avx512F.Shuffle(ab, cd, 0b01_00_01_00) + Avx512F.Shuffle(ab, cd, 0b11_10_11_10);
}
