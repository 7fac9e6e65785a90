using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;
using TorchSharp;
using static TorchSharp.torch;
using Lanes = System.Runtime.Intrinsics.Vector512<float>;

namespace DiffusionGemma;

/// <summary>
/// Float32 matrix products for one core with AVX-512, without gradients. libtorch's first copy the weights into an order of their own, which for a
/// few tokens beside each weight costs more than the product; these read every weight where it lies, once for 64 rows, and fetch the next while
/// they work on one. Measured on Zen 4, one thread: about 8 rows beside each of 32 experts, [384,512] and [512,192], 2.4 against 6.8 ms (about 64 rows:
/// 12 against 18); 64 rows beside a table [32768,512] 20 against 28 ms, and their weighted sums of its rows 21 against 27. A row's result does not
/// depend on how many others there are.
/// </summary>
internal static unsafe class Avx512Products
{
    /// <summary>Rows that stay in the second-level cache while weights pass by.</summary>
    private const long RowBlock = 64;

    /// <summary>So many numbers of eight weight rows fit the first-level cache.</summary>
    private const long MaxInputs = 1024;

    /// <summary>Of <see cref="Plain"/>, rows of b that are used at a time.</summary>
    private const long InnerBlock = 256;

    /// <summary>y = x Wᵀ, x [...,in] and W [out,in] -> [...,out]: here where it can be, by libtorch otherwise.</summary>
    public static Tensor Linear(Tensor x, Tensor weight)
    {
        if (!Fits(x, weight, weight.shape[0], weight.shape[1])) return nn.functional.linear(x, weight);
        Tensor y = empty([.. x.shape[..^1], weight.shape[0]], dtype: x.dtype);
        Transposed(x, weight, [x.numel() / weight.shape[1]], y);
        return y;
    }

    /// <summary>y = x W_eᵀ for the rows that are e's: <paramref name="counts"/>[e] of them, one e's after the other's.</summary>
    /// <param name="x">[N,in], contiguous.</param>
    /// <param name="weights">[E,out,in], or [out,in] of one, contiguous.</param>
    /// <param name="counts">[E], N in all.</param>
    /// <param name="y">[N,out], contiguous; written.</param>
    /// <returns>False where nothing was done: another dtype, device or processor, more threads than one, strides, or sizes that the tiles do not divide.</returns>
    public static bool TryTransposed(Tensor x, Tensor weights, long[] counts, Tensor y)
    {
        if (!y.is_contiguous() || !Fits(x, weights, weights.shape[^2], weights.shape[^1])) return false;
        Transposed(x, weights, counts, y);
        return true;
    }

    /// <summary>a b, a [N,K] and b [K,M] -> [N,M]: here where it can be, by libtorch otherwise.</summary>
    public static Tensor Plain(Tensor a, Tensor b)
    {
        long rows = a.shape[0], inner = a.shape[1], columns = b.shape[1];
        if (!IsPlainFloat(a) || !IsPlainFloat(b) || rows % 8 != 0 || columns % 32 != 0) return a.mm(b);
        Tensor y = zeros(rows, columns);
        float* left = (float*)NativeTensors.Data(a), right = (float*)NativeTensors.Data(b), result = (float*)NativeTensors.Data(y);
        for (long row = 0; row < rows; row += RowBlock)
            AddPlain(left + row * inner, Math.Min(RowBlock, rows - row), inner, right, columns, result + row * columns);
        GC.KeepAlive(a);
        GC.KeepAlive(b);
        GC.KeepAlive(y);
        return y;
    }

    private static bool Fits(Tensor x, Tensor weights, long outputs, long inputs) =>
        IsPlainFloat(x) && IsPlainFloat(weights) && inputs % 16 == 0 && inputs <= MaxInputs && outputs % 8 == 0;

    /// <summary>
    /// Whether this processor has AVX-512, the tensor is float32, on the CPU and contiguous, and torch has one thread: of more the others wait for
    /// work without sleep, in the way of any threads of ours.
    /// </summary>
    public static bool IsPlainFloat(Tensor tensor) =>
        Avx512F.IsSupported && get_num_threads() == 1 && tensor.dtype == ScalarType.Float32 && tensor.device_type == DeviceType.CPU && tensor.is_contiguous();

    private static void Transposed(Tensor x, Tensor weights, long[] counts, Tensor y)
    {
        long outputs = weights.shape[^2], inputs = weights.shape[^1], row = 0;
        float* left = (float*)NativeTensors.Data(x), w = (float*)NativeTensors.Data(weights), result = (float*)NativeTensors.Data(y);
        foreach (long count in counts)
        {
            for (long first = row, last = row + count; first < last; first += RowBlock)
                for (long o = 0, end = Math.Min(first + RowBlock, last); o < outputs; o += 8)
                    for (long r = first; r < end; r += 2)
                    {
                        long other = Math.Min(r + 1, end - 1);                                 // an odd last row is computed twice
                        TransposedTile(
                            left + r * inputs, left + other * inputs, w + o * inputs, (nint)inputs, result + r * outputs + o, result + other * outputs + o,
                            w + (o + 16 + (r - first) % 8) * inputs);
                    }
            row += count;
            w += outputs * inputs;
        }
        GC.KeepAlive(x);
        GC.KeepAlive(weights);
        GC.KeepAlive(y);
    }

    /// <summary>
    /// Two rows of x beside eight of W: sixteen sums of sixteen lanes each, added up at the end. Fetches two of the eight rows after the next eight into the
    /// second-level cache (the first level's has no room for them).
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void TransposedTile(float* x0, float* x1, float* w0, nint inputs, float* y0, float* y1, float* next)
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

    /// <summary>
    /// Adds the product of at most <see cref="RowBlock"/> rows of a, a block of b's rows at a time. Eight rows of a are laid side by side, so that what one row of b
    /// is multiplied with lies together; sums of a block are added to the result as a whole, which rounds less than one long sum.
    /// </summary>
    private static void AddPlain(float* a, long rows, long inner, float* b, long columns, float* y)
    {
        float* packed = stackalloc float[(int)(RowBlock * InnerBlock)];
        for (long start = 0; start < inner; start += InnerBlock)
        {
            long count = Math.Min(InnerBlock, inner - start);
            for (long row = 0; row < rows; row += 8) SideBySide(a + row * inner + start, inner, count, packed + row * InnerBlock);
            for (long column = 0; column < columns; column += 32)
            {
                float* from = b + start * columns + column, next = column + 32 < columns ? from + 32 : b + (start + InnerBlock) * columns;
                for (long row = 0; row < rows; row += 8)
                    PlainTile(packed + row * InnerBlock, (nint)count, from, (nint)columns, y + row * columns + column, next + row * (InnerBlock / RowBlock) * columns);
            }
        }
    }

    private static void SideBySide(float* a, long inner, long count, float* packed)
    {
        for (long i = 0; i < count; i++, a++, packed += 8)
        {
            packed[0] = a[0];
            packed[1] = a[inner];
            packed[2] = a[2 * inner];
            packed[3] = a[3 * inner];
            packed[4] = a[4 * inner];
            packed[5] = a[5 * inner];
            packed[6] = a[6 * inner];
            packed[7] = a[7 * inner];
        }
    }

    /// <summary>Adds eight rows of a times 32 columns of b to y. Fetches an eighth of the columns that come next.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void PlainTile(float* packed, nint count, float* b, nint columns, float* y, float* next)
    {
        Lanes a0 = Lanes.Zero, a1 = a0, a2 = a0, a3 = a0, a4 = a0, a5 = a0, a6 = a0, a7 = a0, b0 = a0, b1 = a0, b2 = a0, b3 = a0, b4 = a0, b5 = a0, b6 = a0, b7 = a0;
        for (nint i = 0; i < count; i++, packed += 8, b += columns)
        {
            if ((i & 7) == 0)
            {
                Sse.Prefetch0(next);
                Sse.Prefetch0(next + 16);
                next += columns;
            }
            Lanes u = Vector512.Load(b), v = Vector512.Load(b + 16), w = Vector512.Create(packed[0]);
            (a0, b0) = (Vector512.FusedMultiplyAdd(u, w, a0), Vector512.FusedMultiplyAdd(v, w, b0));
            w = Vector512.Create(packed[1]);
            (a1, b1) = (Vector512.FusedMultiplyAdd(u, w, a1), Vector512.FusedMultiplyAdd(v, w, b1));
            w = Vector512.Create(packed[2]);
            (a2, b2) = (Vector512.FusedMultiplyAdd(u, w, a2), Vector512.FusedMultiplyAdd(v, w, b2));
            w = Vector512.Create(packed[3]);
            (a3, b3) = (Vector512.FusedMultiplyAdd(u, w, a3), Vector512.FusedMultiplyAdd(v, w, b3));
            w = Vector512.Create(packed[4]);
            (a4, b4) = (Vector512.FusedMultiplyAdd(u, w, a4), Vector512.FusedMultiplyAdd(v, w, b4));
            w = Vector512.Create(packed[5]);
            (a5, b5) = (Vector512.FusedMultiplyAdd(u, w, a5), Vector512.FusedMultiplyAdd(v, w, b5));
            w = Vector512.Create(packed[6]);
            (a6, b6) = (Vector512.FusedMultiplyAdd(u, w, a6), Vector512.FusedMultiplyAdd(v, w, b6));
            w = Vector512.Create(packed[7]);
            (a7, b7) = (Vector512.FusedMultiplyAdd(u, w, a7), Vector512.FusedMultiplyAdd(v, w, b7));
        }
        Add(y, a0, b0);
        Add(y + columns, a1, b1);
        Add(y + 2 * columns, a2, b2);
        Add(y + 3 * columns, a3, b3);
        Add(y + 4 * columns, a4, b4);
        Add(y + 5 * columns, a5, b5);
        Add(y + 6 * columns, a6, b6);
        Add(y + 7 * columns, a7, b7);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Add(float* y, Lanes left, Lanes right)
    {
        (Vector512.Load(y) + left).Store(y);
        (Vector512.Load(y + 16) + right).Store(y + 16);
    }
}
