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
        switch (matrix.Elements)
        {
            case ElementFormat.Int8: Rows<Int8>(matrix, row, rows, column, columns, to); break;
            case ElementFormat.OffsetInt8: Rows<OffsetInt8>(matrix, row, rows, column, columns, to); break;
            case ElementFormat.OffsetInt4: Rows<OffsetInt4>(matrix, row, rows, column, columns, to); break;
            case ElementFormat.Float8: Rows<Float8>(matrix, row, rows, column, columns, to); break;
            case ElementFormat.Float4: Rows<Float4>(matrix, row, rows, column, columns, to); break;
            case ElementFormat.BFloat16:
                for (long end = row + rows; row < end; row++, to += columns) BFloat16((ushort*)matrix.Address(row, column), to, columns);
                break;
            default: throw new InvalidOperationException($"Elements of {matrix.Elements} are not widened.");
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Rows<E>(in QuantizedRows matrix, long row, long rows, long column, long columns, float* to)
        where E : struct, IElements
    {
        long size = Math.Min(matrix.GroupSize, columns), firstGroup = column / matrix.GroupSize;
        for (long end = row + rows; row < end; row++, to += columns)
        {
            byte* from = matrix.Address(row, column);
            long group = firstGroup, i = 0;
            for (long groupEnd = size; groupEnd <= columns; groupEnd += size, group++)
            {
                int offset = matrix.Offset(row, group);
                float scale = matrix.Scale(row, group);
                if (Avx2.IsSupported)
                {
                    Vector256<float> scales = Vector256.Create(scale);
                    Vector256<int> offsets = Vector256.Create(offset);
                    for (; i + Lanes <= groupEnd; i += Lanes) (E.Eight(from, i, offsets) * scales).Store(to + i);
                }
                for (; i < groupEnd; i++) to[i] = E.One(from, i, offset) * scale;
            }
        }
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

    /// <summary>Eight numbers of four bits from an even index on, each the lowest of its lane; the bits above are others'.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector256<int> Nibbles(byte* from, long i) => Avx2.ShiftRightLogicalVariable(
        Vector256.Create(Unsafe.ReadUnaligned<uint>(from + i / 2)), Vector256.Create(0u, 4, 8, 12, 16, 20, 24, 28)).AsInt32();

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static int Nibble(byte* from, long i) => i % 2 == 0 ? from[i / 2] & 15 : from[i / 2] >> 4;

    /// <summary>A form of elements: their values before they are multiplied by their group's scale.</summary>
    private interface IElements
    {
        /// <summary>Elements i to i + 7 of a row, less their group's offset where the form has one.</summary>
        static abstract Vector256<float> Eight(byte* from, long i, Vector256<int> offset);

        /// <summary>Element i of a row.</summary>
        static abstract float One(byte* from, long i, int offset);
    }

    private readonly struct Int8 : IElements
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static Vector256<float> Eight(byte* from, long i, Vector256<int> offset) =>
            Vector256.ConvertToSingle(Avx2.ConvertToVector256Int32((sbyte*)from + i));

        public static float One(byte* from, long i, int offset) => (sbyte)from[i];
    }

    private readonly struct OffsetInt8 : IElements
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static Vector256<float> Eight(byte* from, long i, Vector256<int> offset) =>
            Vector256.ConvertToSingle(Avx2.ConvertToVector256Int32(from + i) - offset);

        public static float One(byte* from, long i, int offset) => from[i] - offset;
    }

    private readonly struct OffsetInt4 : IElements
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static Vector256<float> Eight(byte* from, long i, Vector256<int> offset) =>
            Vector256.ConvertToSingle((Nibbles(from, i) & Vector256.Create(15)) - offset);

        public static float One(byte* from, long i, int offset) => Nibble(from, i) - offset;
    }

    private readonly struct Float8 : IElements
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static Vector256<float> Eight(byte* from, long i, Vector256<int> offset)
        {
            Vector256<int> magnitude = Vector256.Create(0x7F), codes = Avx2.ConvertToVector256Int32(from + i), bare = codes & magnitude;
            Vector256<float> number = Vector256.ShiftLeft(bare, 20).AsSingle() * Vector256.Create(SmallFloats.Float8Unit);
            Vector256<int> none = Vector256.Equals(bare, magnitude);                             // all bits set: not a number
            return ((number.AsInt32() | Vector256.ShiftLeft(codes & Vector256.Create(0x80), 24)) | none).AsSingle();
        }

        public static float One(byte* from, long i, int offset) => SmallFloats.Float8(from[i]);
    }

    private readonly struct Float4 : IElements
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static Vector256<float> Eight(byte* from, long i, Vector256<int> offset)
        {
            // Only the lower three bits of an index count.
            Vector256<int> codes = Nibbles(from, i);
            Vector256<int> number = Avx2.PermuteVar8x32(Vector256.Create(0, 0.5f, 1, 1.5f, 2, 3, 4, 6), codes).AsInt32();
            return (number | Vector256.ShiftLeft(codes & Vector256.Create(8), 28)).AsSingle();
        }

        public static float One(byte* from, long i, int offset) => SmallFloats.Float4[Nibble(from, i)];
    }
}
