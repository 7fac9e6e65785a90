using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using static TorchSharp.torch;

namespace DiffusionGemma;

/// <summary>
/// Rounds matrices to 8 or 4 bits, symmetric, in compressed-tensors' layout. Scales are bfloat16, and numbers are rounded by the scale as
/// it is stored. The scale of a group of 4 bits is searched for the least squared error: the largest number need not be representable.
/// </summary>
internal static unsafe class Quantizer
{
    /// <summary>Numbers of a row that share a scale in 4 bits.</summary>
    public const long GroupSize = 32;

    /// <summary>Steps of the search below the scale that represents the largest number, of a part of it each.</summary>
    private const int SearchSteps = 12;

    private const float SearchStep = 0.03f;

    /// <summary>Numbers of a matrix that are rounded at a time.</summary>
    private const long BlockElements = 1 << 20;

    /// <summary>Rounds a matrix.</summary>
    /// <param name="kind">Int8 or Int4.</param>
    /// <param name="rows">Outputs.</param>
    /// <param name="columns">Inputs; in 4 bits a multiple of <paramref name="size"/>.</param>
    /// <param name="read">Returns the rows [first, first + count) in float32 on the CPU, contiguous.</param>
    /// <param name="size">In 4 bits, numbers of a row that share a scale: a multiple of 8.</param>
    /// <exception cref="InvalidDataException">A number is not finite.</exception>
    public static QuantizedMatrix Round(
        Quantization kind, long rows, long columns, Func<long, long, Tensor> read, long size = GroupSize)
    {
        using IDisposable quiet = no_grad();
        bool isByte = kind == Quantization.Int8;
        if (!isByte && columns % size != 0)
            throw new ArgumentException($"Rows of {columns} numbers do not divide into groups of {size}.", nameof(columns));
        long groups = isByte ? 1 : columns / size;
        Tensor codes = isByte ? empty(rows, columns, ScalarType.Int8) : empty(rows, columns / 8, ScalarType.Int32);
        Tensor scales = empty(rows, groups, ScalarType.BFloat16);
        byte* toCodes = (byte*)NativeTensors.Data(codes);
        ushort* toScales = (ushort*)NativeTensors.Data(scales);
        long step = Math.Max(1, BlockElements / columns), stride = isByte ? columns : columns / 2;
        int notFinite = 0;
        for (long first = 0; first < rows; first += step)
        {
            using var scope = NewDisposeScope();
            long count = Math.Min(step, rows - first), start = first;
            Tensor block = read(first, count);
            float* from = (float*)NativeTensors.Data(block);
            Parallel.For(
                0, count, new ParallelOptions { MaxDegreeOfParallelism = Math.Max(1, get_num_threads()) }, row =>
                {
                    float* x = from + row * columns;
                    if (!float.IsFinite(Largest(x, columns))) Interlocked.Exchange(ref notFinite, 1);
                    byte* code = toCodes + (start + row) * stride;
                    ushort* scale = toScales + (start + row) * groups;
                    if (isByte) *scale = RoundRow(x, columns, (sbyte*)code);
                    else
                        for (long group = 0; group < groups; group++)
                            scale[group] = RoundGroup(x + group * size, size, code + group * size / 2);
                });
            GC.KeepAlive(block);
            if (notFinite > 0) throw new InvalidDataException("A number to be rounded is not finite.");
        }
        return new QuantizedMatrix(
            isByte ? ElementFormat.Int8 : ElementFormat.OffsetInt4, codes.DetachFromDisposeScope(), columns, ScaleFormat.BFloat16,
            scales.DetachFromDisposeScope());
    }

    /// <summary>Rounds a row to q in -127 to 127; returns the bits of its scale.</summary>
    private static ushort RoundRow(float* x, long count, sbyte* codes)
    {
        ushort bits = BFloat16(Largest(x, count) / 127);
        float scale = SmallFloats.BFloat16(bits), inverse = scale == 0 ? 0 : 1 / scale;
        for (long i = 0; i < count; i++) codes[i] = (sbyte)Math.Clamp(MathF.Round(x[i] * inverse), -127, 127);
        return bits;
    }

    /// <summary>Rounds a group to q in -8 to 7, stored as q + 8; returns the bits of its scale.</summary>
    private static ushort RoundGroup(float* x, long size, byte* codes)
    {
        float largest = Largest(x, size), least = float.PositiveInfinity;
        ushort best = 0;
        for (int n = 0; n <= SearchSteps && largest > 0; n++)
        {
            ushort bits = BFloat16(largest / 7 * (1 - n * SearchStep));
            float error = SquaredError(x, size, SmallFloats.BFloat16(bits));
            if (error < least) (least, best) = (error, bits);
        }
        float scale = SmallFloats.BFloat16(best), inverse = scale == 0 ? 0 : 1 / scale;
        for (long i = 0; i < size; i += 2)
        {
            int low = (int)Math.Clamp(MathF.Round(x[i] * inverse), -8, 7) + 8;
            int high = (int)Math.Clamp(MathF.Round(x[i + 1] * inverse), -8, 7) + 8;
            codes[i / 2] = (byte)(low | high << 4);
        }
        return best;
    }

    private static float Largest(float* x, long count)
    {
        Vector256<float> most = Vector256<float>.Zero;
        long i = 0;
        for (; i + Vector256<float>.Count <= count; i += Vector256<float>.Count)
            most = Vector256.Max(most, Vector256.Abs(Vector256.Load(x + i)));
        float largest = 0;
        for (int lane = 0; lane < Vector256<float>.Count; lane++) largest = MathF.Max(largest, most[lane]);
        for (; i < count; i++) largest = MathF.Max(largest, MathF.Abs(x[i]));
        return largest;
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static float SquaredError(float* x, long size, float scale)
    {
        if (scale == 0) return float.PositiveInfinity;
        Vector256<float> factor = Vector256.Create(scale), inverse = Vector256.Create(1 / scale), sum = Vector256<float>.Zero;
        Vector256<float> lowest = Vector256.Create(-8f), highest = Vector256.Create(7f);
        for (long i = 0; i < size; i += Vector256<float>.Count)
        {
            Vector256<float> value = Vector256.Load(x + i);
            Vector256<float> difference = Vector256.Min(Vector256.Max(Vector256.Round(value * inverse), lowest), highest) * factor - value;
            sum += difference * difference;
        }
        return Vector256.Sum(sum);
    }

    /// <summary>The bits of the nearest bfloat16, ties to even.</summary>
    private static ushort BFloat16(float value)
    {
        uint bits = BitConverter.SingleToUInt32Bits(value);
        return (ushort)((bits + 0x7FFF + (bits >> 16 & 1)) >> 16);
    }
}
