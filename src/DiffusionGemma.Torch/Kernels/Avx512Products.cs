using System.Runtime.InteropServices;
using System.Runtime.Intrinsics.X86;
using TorchSharp;
using static TorchSharp.torch;

namespace DiffusionGemma;

/// <summary>
/// Float32 matrix products with AVX-512, without gradients. libtorch's first copy the weights into an order of their own, which for a few tokens beside each
/// weight costs more than the product; these read every weight where it lies, once for a hundred rows or two, and fetch the next while they work on one.
/// Measured on Zen 4, whose one core does 117 GFLOP/s at most: y = x Wᵀ of 128 rows and a table [32768,512] 112 against 73 GFLOP/s, its x gradient 107 against 91,
/// its W gradient 103 against 93; of 384 rows and [768,512] 112, 108 and 113 against 102, 102 and 106. Of about 8 rows beside each of 32 experts [384,512] the x
/// gradient takes 1.8 against 3.3 ms, the W gradient 1.8 against 3.9 (48 rows: 6.2 against 8.7, 6.3 against 7.0). A row's result does not depend on how many
/// others there are, nor on the number of threads (<see cref="KernelThreads"/>).
/// </summary>
internal static unsafe class Avx512Products
{
    /// <summary>So many numbers of eight weight rows fit the first-level cache.</summary>
    private const long MaxInputs = 1024;

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

    /// <summary>y += a b, a [N,K], b [K,M] and y [N,M]: false where the sizes or strides do not fit.</summary>
    public static bool TryAddPlain(Tensor a, Tensor b, Tensor y)
    {
        if (!FitsPlain(a, b, y)) return false;
        AddPlain(a, b, [a.shape[0]], y);
        return true;
    }

    /// <summary>y = a b_e for the rows that are e's: <paramref name="counts"/>[e] of them, one e's after the other's.</summary>
    /// <param name="a">[N,K], contiguous.</param>
    /// <param name="b">[E,K,M], or [K,M] of one, contiguous.</param>
    /// <param name="counts">[E], N in all.</param>
    /// <param name="y">[N,M], contiguous; written.</param>
    /// <returns>False where nothing was done: another dtype, device or processor, more threads than one, strides, or an M that tiles do not divide.</returns>
    public static bool TryPlain(Tensor a, Tensor b, long[] counts, Tensor y)
    {
        if (!FitsPlain(a, b, y)) return false;
        NativeMemory.Clear(NativeTensors.Data(y), (nuint)(y.numel() * sizeof(float)));
        AddPlain(a, b, counts, y);
        return true;
    }

    /// <summary>y += aᵀ b: the gradient of W in y = W x, of which a is the result's and b is x.</summary>
    /// <param name="a">[N,M], contiguous.</param>
    /// <param name="b">[N,K], contiguous.</param>
    /// <param name="y">[M,K], contiguous; added to.</param>
    /// <returns>False where nothing was done: another dtype, device or processor, more threads than one, strides, or a K that tiles do not divide.</returns>
    public static bool TryAddOuter(Tensor a, Tensor b, Tensor y)
    {
        if (!FitsPlain(a, b, y)) return false;
        long rows = a.shape[1], inner = a.shape[0], columns = b.shape[1];
        float* left = (float*)NativeTensors.Data(a), right = (float*)NativeTensors.Data(b), result = (float*)NativeTensors.Data(y);
        KernelThreads.For((rows + Avx512Plain.TileRows - 1) / Avx512Plain.TileRows, 2 * rows * inner * columns, (from, to) =>
        {
            long first = Avx512Plain.TileRows * from, end = Math.Min(rows, Avx512Plain.TileRows * to);
            Avx512Plain.AddOuter(left + first, end - first, rows, inner, right, columns, result + first * columns);
        });
        GC.KeepAlive(a);
        GC.KeepAlive(b);
        GC.KeepAlive(y);
        return true;
    }

    private static bool FitsPlain(Tensor a, Tensor b, Tensor y) => IsPlainFloat(a) && IsPlainFloat(b) && IsPlainFloat(y) && b.shape[^1] % Avx512Plain.Columns == 0;

    private static bool Fits(Tensor x, Tensor weights, long outputs, long inputs) =>
        IsPlainFloat(x) && IsPlainFloat(weights) && inputs % 16 == 0 && inputs <= MaxInputs && outputs % 8 == 0;

    /// <summary>
    /// Whether this processor has AVX-512, the tensor is float32, on the CPU and contiguous, and torch has one thread: of more the others wait for
    /// work without sleep, in the way of any threads of ours.
    /// </summary>
    public static bool IsPlainFloat(Tensor tensor) => IsPlain(tensor) && tensor.is_contiguous();

    /// <summary>The same whatever the strides.</summary>
    public static bool IsPlain(Tensor tensor) =>
        Avx512F.IsSupported && get_num_threads() == 1 && tensor.dtype == ScalarType.Float32 && tensor.device_type == DeviceType.CPU;

    private static void Transposed(Tensor x, Tensor weights, long[] counts, Tensor y)
    {
        long outputs = weights.shape[^2], inputs = weights.shape[^1];
        float* left = (float*)NativeTensors.Data(x), w = (float*)NativeTensors.Data(weights), result = (float*)NativeTensors.Data(y);
        long[] starts = Starts(counts);
        long operations = 2 * starts[^1] * outputs * inputs;
        if (counts.Length == 1)
            KernelThreads.For(outputs / 8, operations, (from, to) => Avx512Transposed.Run(left, counts[0], w + 8 * from * inputs, 8 * (to - from), inputs, result + 8 * from, outputs));
        else
            KernelThreads.For(counts.Length, operations, (from, to) =>
            {
                for (long e = from; e < to; e++) Avx512Transposed.Run(left + starts[e] * inputs, counts[e], w + e * outputs * inputs, outputs, inputs, result + starts[e] * outputs, outputs);
            });
        GC.KeepAlive(x);
        GC.KeepAlive(weights);
        GC.KeepAlive(y);
    }

    private static void AddPlain(Tensor a, Tensor b, long[] counts, Tensor y)
    {
        long inner = b.shape[^2], columns = b.shape[^1];
        float* left = (float*)NativeTensors.Data(a), right = (float*)NativeTensors.Data(b), result = (float*)NativeTensors.Data(y);
        long[] starts = Starts(counts);
        long operations = 2 * starts[^1] * inner * columns;
        if (counts.Length == 1 && counts[0] >= KernelThreads.Count * Avx512Plain.RowBlock)
            KernelThreads.For((counts[0] + Avx512Plain.RowBlock - 1) / Avx512Plain.RowBlock, operations, (from, to) => Avx512Plain.Add(
                left + Avx512Plain.RowBlock * from * inner, Math.Min(counts[0], Avx512Plain.RowBlock * to) - Avx512Plain.RowBlock * from, inner, right, columns,
                result + Avx512Plain.RowBlock * from * columns, columns));
        else if (counts.Length == 1)
            KernelThreads.For(columns / Avx512Plain.Columns, operations, (from, to) => Avx512Plain.Add(
                left, counts[0], inner, right + Avx512Plain.Columns * from, Avx512Plain.Columns * (to - from), result + Avx512Plain.Columns * from, columns), partsPerThread: 1);
        else
            KernelThreads.For(counts.Length, operations, (from, to) =>
            {
                for (long e = from; e < to; e++) Avx512Plain.Add(left + starts[e] * inner, counts[e], inner, right + e * inner * columns, columns, result + starts[e] * columns, columns);
            });
        GC.KeepAlive(a);
        GC.KeepAlive(b);
        GC.KeepAlive(y);
    }

    /// <summary>Where each run of rows begins, and where the last ends.</summary>
    private static long[] Starts(long[] counts)
    {
        long[] starts = new long[counts.Length + 1];
        for (int e = 0; e < counts.Length; e++) starts[e + 1] = starts[e] + counts[e];
        return starts;
    }
}
