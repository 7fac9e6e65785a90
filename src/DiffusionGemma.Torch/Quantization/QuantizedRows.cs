using System.Runtime.CompilerServices;

namespace DiffusionGemma;

/// <summary>A stored matrix [rows, columns] in memory, as kernels read it. Addresses need no alignment.</summary>
internal readonly unsafe struct QuantizedRows
{
    public ElementFormat Elements { get; init; }

    /// <summary>Number of rows.</summary>
    public long Rows { get; init; }

    public byte* Codes { get; init; }

    /// <summary>Bytes from a row of <see cref="Codes"/> to the next.</summary>
    public long Stride { get; init; }

    public ScaleFormat ScaleFormat { get; init; }

    public byte* Scales { get; init; }

    /// <summary>Elements of a row that share a scale; divides the columns.</summary>
    public long GroupSize { get; init; }

    /// <summary>Scales of a row.</summary>
    public long Groups { get; init; }

    /// <summary>Packed zero points: row r's of group g are bits of word [r · bits / 32, g]; null: none.</summary>
    public byte* ZeroPoints { get; init; }

    /// <summary>A second scale, of the whole matrix.</summary>
    public float GlobalScale { get; init; }

    /// <summary>True where <see cref="GlobalScale"/> divides the scale and does not multiply it.</summary>
    public bool GlobalDivides { get; init; }

    public int Bits => BitsOf(Elements);

    public static int BitsOf(ElementFormat elements) => elements switch
    {
        ElementFormat.OffsetInt4 or ElementFormat.Float4 => 4,
        ElementFormat.BFloat16 => 16,
        _ => 8,
    };

    /// <summary>The address of an element, the first of a byte.</summary>
    public byte* Address(long row, long column) => Codes + row * Stride + column * Bits / 8;

    /// <summary>The float32 number that a group's elements are multiplied by, computed as the form defines it.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public float Scale(long row, long group)
    {
        long at = row * Groups + group;
        float scale = ScaleFormat switch
        {
            ScaleFormat.None => 1,
            ScaleFormat.BFloat16 => SmallFloats.BFloat16(Unsafe.ReadUnaligned<ushort>(Scales + 2 * at)),
            ScaleFormat.Float16 => (float)Unsafe.ReadUnaligned<Half>(Scales + 2 * at),
            ScaleFormat.Float32 => Unsafe.ReadUnaligned<float>(Scales + 4 * at),
            ScaleFormat.Float8 => SmallFloats.Float8(Scales[at]),
            ScaleFormat.PowerOfTwo => SmallFloats.PowerOfTwo(Scales[at]),
            _ => throw new InvalidOperationException($"Scales of {ScaleFormat} are not read."),
        };
        return GlobalDivides ? scale / GlobalScale : scale * GlobalScale;
    }

    /// <summary>The number that is subtracted from a group's unsigned elements: the zero point, or the offset of the form.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public int Offset(long row, long group)
    {
        int bits = Bits;
        if (ZeroPoints == null) return Elements is ElementFormat.OffsetInt4 or ElementFormat.OffsetInt8 ? 1 << (bits - 1) : 0;
        int perWord = 32 / bits;
        uint word = Unsafe.ReadUnaligned<uint>(ZeroPoints + 4 * (row / perWord * Groups + group));
        return (int)(word >> (int)(row % perWord * bits)) & ((1 << bits) - 1);
    }

    /// <summary>The value of one element.</summary>
    public float Value(long row, long column)
    {
        long group = column / GroupSize;
        byte* address = Address(row, column);
        int nibble = column % 2 == 0 ? *address & 15 : *address >> 4;
        return Elements switch
        {
            ElementFormat.Int8 => (sbyte)*address * Scale(row, group),
            ElementFormat.OffsetInt8 => (*address - Offset(row, group)) * Scale(row, group),
            ElementFormat.OffsetInt4 => (nibble - Offset(row, group)) * Scale(row, group),
            ElementFormat.Float8 => SmallFloats.Float8(*address) * Scale(row, group),
            ElementFormat.Float4 => SmallFloats.Float4[nibble] * Scale(row, group),
            ElementFormat.BFloat16 => SmallFloats.BFloat16(Unsafe.ReadUnaligned<ushort>(address)),
            _ => throw new InvalidOperationException($"Elements of {Elements} are not read."),
        };
    }
}
