namespace DiffusionGemma;

/// <summary>
/// Checks that bytes are one struct of Thrift's compact protocol, whose fields have the types that their reader takes them for.
/// </summary>
/// <remarks>
/// A reader that trusts lengths and list sizes reads past the end of a damaged struct, and one that trusts the types of fields reads on for
/// ever. (apache/thrift, doc/specs/thrift-compact-protocol.md.)
/// </remarks>
internal ref struct ThriftCheck(ReadOnlySpan<byte> bytes)
{
    private const int DeepestNesting = 64;
    private const byte Stop = 0, Map = 11;

    private ReadOnlySpan<byte> _rest = bytes;

    /// <summary>True where the bytes are one whole struct.</summary>
    public static bool IsWhole(ReadOnlySpan<byte> bytes, ThriftField expected) => FindLength(bytes, expected) == bytes.Length;

    /// <summary>Bytes of the struct that stands first; null: there is none, it is another one, or it goes on behind the bytes.</summary>
    public static int? FindLength(ReadOnlySpan<byte> bytes, ThriftField expected)
    {
        var check = new ThriftCheck(bytes);
        return check.Skip(ThriftStruct.Struct, expected.Fields, DeepestNesting) ? bytes.Length - check._rest.Length : null;
    }

    private bool Skip(int type, IReadOnlyDictionary<int, ThriftField>? fields, int nesting) => nesting > 0 && type switch
    {
        ThriftStruct.Byte => Take(1),
        ThriftStruct.Int16 or ThriftStruct.Int32 or ThriftStruct.Int64 => Varint(out _),
        ThriftStruct.Double => Take(8),
        ThriftStruct.Binary => Varint(out ulong length) && Take(length),
        ThriftStruct.List or ThriftStruct.SetList => SkipList(null, nesting),
        Map => SkipMap(nesting),
        ThriftStruct.Struct => SkipStruct(fields, nesting),
        _ => false,
    };

    private bool SkipStruct(IReadOnlyDictionary<int, ThriftField>? fields, int nesting)
    {
        for (int number = 0; Next(out byte header);)
        {
            if (header == Stop) return true;
            // The high half is the step to this field's number; 0: the number itself follows.
            int type = header & 0x0F;
            if (header >> 4 != 0) number += header >> 4;
            else if (!Number(out number)) return false;
            ThriftField? field = fields?.GetValueOrDefault(number);
            if (field is not null && !ThriftField.Is(field.Type, type)) return false;
            bool isSkipped = type switch
            {
                ThriftStruct.True or ThriftStruct.False => true,                            // the type of a bool field is its value
                ThriftStruct.List => SkipList(field, nesting - 1),
                _ => Skip(type, field?.Fields, nesting - 1),
            };
            if (!isSkipped) return false;
        }
        return false;
    }

    private bool SkipList(ThriftField? field, int nesting)
    {
        if (nesting <= 0 || !Next(out byte header)) return false;
        ulong count = (ulong)(header >> 4);
        int type = header & 0x0F;
        return (count < 15 || Varint(out count)) && (field is null || count == 0 || ThriftField.Is(field.Items, type))
            && SkipItems(count, type, field?.Fields, nesting);
    }

    private bool SkipMap(int nesting)
    {
        if (!Varint(out ulong count)) return false;
        if (count == 0) return true;
        if (!Next(out byte types)) return false;
        for (; count > 0; count--)
            if (!SkipItems(1, types >> 4, null, nesting) || !SkipItems(1, types & 0x0F, null, nesting)) return false;
        return true;
    }

    /// <summary>Skips items; each takes at least one byte, so a count beyond the rest is refused before the loop.</summary>
    private bool SkipItems(ulong count, int type, IReadOnlyDictionary<int, ThriftField>? fields, int nesting)
    {
        if (count > (ulong)_rest.Length) return false;
        for (; count > 0; count--)
            if (!(type is ThriftStruct.True or ThriftStruct.False ? Take(1) : Skip(type, fields, nesting - 1))) return false;
        return true;
    }

    /// <summary>The number of a field: an integer of 16 bits, written zigzag.</summary>
    private bool Number(out int number)
    {
        bool isRead = Varint(out ulong value);
        number = (int)(value >> 1);
        return isRead && value <= 2 * (ulong)short.MaxValue && value % 2 == 0;
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
