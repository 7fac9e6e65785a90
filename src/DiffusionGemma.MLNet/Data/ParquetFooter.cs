namespace DiffusionGemma;

/// <summary>Checks that a parquet footer is one struct of Thrift's compact protocol that ends where the footer ends.</summary>
/// <remarks>
/// A reader that trusts lengths and list sizes reads past the end of a damaged one. (apache/thrift, doc/specs/thrift-compact-protocol.md.)
/// </remarks>
internal ref struct ParquetFooter(ReadOnlySpan<byte> bytes)
{
    private const int DeepestNesting = 64;
    private const byte Stop = 0, True = 1, False = 2, Byte = 3, Int16 = 4, Int32 = 5, Int64 = 6, Double = 7, Binary = 8, List = 9, Set = 10,
        Map = 11, Struct = 12;

    private ReadOnlySpan<byte> _rest = bytes;

    /// <summary>True where the bytes are one whole struct.</summary>
    public static bool IsWhole(ReadOnlySpan<byte> bytes) => FindLength(bytes) == bytes.Length;

    /// <summary>Bytes of the struct that stands first; null: there is none, or it goes on behind the bytes.</summary>
    public static int? FindLength(ReadOnlySpan<byte> bytes)
    {
        var footer = new ParquetFooter(bytes);
        return footer.Skip(Struct, DeepestNesting) ? bytes.Length - footer._rest.Length : null;
    }

    private bool Skip(int type, int nesting) => nesting > 0 && type switch
    {
        Byte => Take(1),
        Int16 or Int32 or Int64 => Varint(out _),
        Double => Take(8),
        Binary => Varint(out ulong length) && Take(length),
        List or Set => SkipList(nesting),
        Map => SkipMap(nesting),
        Struct => SkipStruct(nesting),
        _ => false,
    };

    private bool SkipStruct(int nesting)
    {
        while (Next(out byte header))
        {
            if (header == Stop) return true;
            // The high half is the step to this field's number; 0: the number itself follows.
            int type = header & 0x0F;
            if (header >> 4 == 0 && !Varint(out _)) return false;
            if (type is not (True or False) && !Skip(type, nesting - 1)) return false;      // the type of a bool field is its value
        }
        return false;
    }

    private bool SkipList(int nesting)
    {
        if (!Next(out byte header)) return false;
        ulong count = (ulong)(header >> 4);
        return (count < 15 || Varint(out count)) && SkipItems(count, header & 0x0F, nesting);
    }

    private bool SkipMap(int nesting)
    {
        if (!Varint(out ulong count)) return false;
        if (count == 0) return true;
        if (!Next(out byte types)) return false;
        for (; count > 0; count--)
            if (!SkipItems(1, types >> 4, nesting) || !SkipItems(1, types & 0x0F, nesting)) return false;
        return true;
    }

    /// <summary>Skips items; each takes at least one byte, so a count beyond the rest is refused before the loop.</summary>
    private bool SkipItems(ulong count, int type, int nesting)
    {
        if (count > (ulong)_rest.Length) return false;
        for (; count > 0; count--)
            if (!(type is True or False ? Take(1) : Skip(type, nesting - 1))) return false;
        return true;
    }

    private bool Varint(out ulong value)
    {
        value = 0;
        for (int shift = 0; shift < 64 && Next(out byte next); shift += 7)
        {
            value |= (ulong)(next & 0x7F) << shift;
            if (next < 0x80) return true;
        }
        return false;
    }

    private bool Next(out byte next)
    {
        next = _rest.IsEmpty ? (byte)0 : _rest[0];
        return Take(1);
    }

    private bool Take(ulong count)
    {
        if (count > (ulong)_rest.Length) return false;
        _rest = _rest[(int)count..];
        return true;
    }
}
