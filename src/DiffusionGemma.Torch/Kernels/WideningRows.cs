using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace DiffusionGemma;

/// <summary>
/// Writes parts of a stored matrix out in float32, for products to read from a cache. Eight numbers at a time where the processor has AVX2,
/// one at a time elsewhere and at the end of a group; the values are the same to the last bit.
/// </summary>
internal static unsafe class WideningRows
{
    /// <summary>Numbers that are widened together.</summary>
    private const int Lanes = 8;

    /// <summary>Widens the part [rows, columns] at (row, column).</summary>
    /// <param name="matrix">The stored matrix.</param>
    /// <param name="row">First row.</param>
    /// <param name="rows">Number of rows.</param>
    /// <param name="column">First column, of a whole group.</param>
    /// <param name="columns">Columns, of whole groups.</param>
    /// <param name="to">[rows, columns], without gaps.</param>
    public static void Run(in QuantizedRows matrix, long row, long rows, long column, long columns, float* to)
    {
        for (long end = row + rows; row < end; row++, to += columns)
        {
            if (matrix.Elements == ElementFormat.BFloat16)
            {
                BFloat16((ushort*)matrix.Address(row, column), to, columns);
                continue;
            }
            long size = Math.Min(matrix.GroupSize, columns);
            for (long at = 0; at < columns; at += size)
            {
                long group = (column + at) / matrix.GroupSize;
                byte* from = matrix.Address(row, column + at);
                Group(matrix.Elements, from, to + at, size, matrix.Offset(row, group), matrix.Scale(row, group));
            }
        }
    }

    private static void Group(ElementFormat elements, byte* from, float* to, long count, int offset, float scale)
    {
        switch (elements)
        {
            case ElementFormat.Int8: Int8((sbyte*)from, to, count, scale); break;
            case ElementFormat.OffsetInt8: OffsetInt8(from, to, count, offset, scale); break;
            case ElementFormat.OffsetInt4: OffsetInt4(from, to, count, offset, scale); break;
            case ElementFormat.Float8: Float8(from, to, count, scale); break;
            case ElementFormat.Float4: Float4(from, to, count, scale); break;
            default: throw new InvalidOperationException($"Elements of {elements} are not widened.");
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Int8(sbyte* from, float* to, long count, float scale)
    {
        long i = 0;
        if (Avx2.IsSupported)
            for (Vector256<float> factor = Vector256.Create(scale); i + Lanes <= count; i += Lanes)
                (Vector256.ConvertToSingle(Avx2.ConvertToVector256Int32(from + i)) * factor).Store(to + i);
        for (; i < count; i++) to[i] = from[i] * scale;
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void OffsetInt8(byte* from, float* to, long count, int offset, float scale)
    {
        long i = 0;
        if (Avx2.IsSupported)
        {
            Vector256<float> factor = Vector256.Create(scale);
            Vector256<int> zero = Vector256.Create(offset);
            for (; i + Lanes <= count; i += Lanes)
                (Vector256.ConvertToSingle(Avx2.ConvertToVector256Int32(from + i) - zero) * factor).Store(to + i);
        }
        for (; i < count; i++) to[i] = (from[i] - offset) * scale;
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void OffsetInt4(byte* from, float* to, long count, int offset, float scale)
    {
        long i = 0;
        if (Avx2.IsSupported)
        {
            Vector256<float> factor = Vector256.Create(scale);
            Vector256<int> zero = Vector256.Create(offset), mask = Vector256.Create(15);
            for (; i + Lanes <= count; i += Lanes)
                (Vector256.ConvertToSingle((Nibbles(from + i / 2) & mask) - zero) * factor).Store(to + i);
        }
        for (; i < count; i++) to[i] = (Nibble(from, i) - offset) * scale;
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Float8(byte* from, float* to, long count, float scale)
    {
        long i = 0;
        if (Avx2.IsSupported)
        {
            Vector256<float> factor = Vector256.Create(scale), unit = Vector256.Create(SmallFloats.Float8Unit);
            Vector256<int> magnitude = Vector256.Create(0x7F), sign = Vector256.Create(0x80);
            for (; i + Lanes <= count; i += Lanes)
            {
                Vector256<int> codes = Avx2.ConvertToVector256Int32(from + i), bare = codes & magnitude;
                Vector256<float> number = Vector256.ShiftLeft(bare, 20).AsSingle() * unit;
                Vector256<int> none = Vector256.Equals(bare, magnitude);                     // all bits set: not a number
                (((number.AsInt32() | Vector256.ShiftLeft(codes & sign, 24)) | none).AsSingle() * factor).Store(to + i);
            }
        }
        for (; i < count; i++) to[i] = SmallFloats.Float8(from[i]) * scale;
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Float4(byte* from, float* to, long count, float scale)
    {
        long i = 0;
        if (Avx2.IsSupported)
        {
            Vector256<float> factor = Vector256.Create(scale), table = Vector256.Create(0, 0.5f, 1, 1.5f, 2, 3, 4, 6);
            Vector256<int> sign = Vector256.Create(8);
            for (; i + Lanes <= count; i += Lanes)
            {
                // Only the lower three bits of an index count.
                Vector256<int> codes = Nibbles(from + i / 2);
                Vector256<int> number = Avx2.PermuteVar8x32(table, codes).AsInt32();
                ((number | Vector256.ShiftLeft(codes & sign, 28)).AsSingle() * factor).Store(to + i);
            }
        }
        for (; i < count; i++) to[i] = SmallFloats.Float4[Nibble(from, i)] * scale;
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void BFloat16(ushort* from, float* to, long count)
    {
        long i = 0;
        if (Avx2.IsSupported)
            for (; i + Lanes <= count; i += Lanes)
                Vector256.ShiftLeft(Avx2.ConvertToVector256Int32(from + i), 16).AsSingle().Store(to + i);
        for (; i < count; i++) to[i] = SmallFloats.BFloat16(Unsafe.ReadUnaligned<ushort>(from + i));
    }

    /// <summary>Eight numbers of four bits, each the lowest of its lane; the bits above are others'.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector256<int> Nibbles(byte* from) => Avx2.ShiftRightLogicalVariable(
        Vector256.Create(Unsafe.ReadUnaligned<uint>(from)), Vector256.Create(0u, 4, 8, 12, 16, 20, 24, 28)).AsInt32();

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static int Nibble(byte* from, long i) => i % 2 == 0 ? from[i / 2] & 15 : from[i / 2] >> 4;
}
