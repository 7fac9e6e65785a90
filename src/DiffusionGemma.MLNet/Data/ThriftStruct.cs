namespace DiffusionGemma;

/// <summary>A struct of Thrift's compact protocol, read and written field by field; fields that nobody asks for are kept.</summary>
/// <remarks>
/// Values are bool, byte, long (all integers), byte[] (binary, or the 8 bytes of a double), <see cref="ThriftList"/> and
/// <see cref="ThriftStruct"/>. (apache/thrift, doc/specs/thrift-compact-protocol.md.)
/// </remarks>
internal sealed class ThriftStruct
{
    public const byte True = 1, False = 2, Byte = 3, Int16 = 4, Int32 = 5, Int64 = 6, Double = 7, Binary = 8, List = 9, SetList = 10,
        Struct = 12;

    private const byte Stop = 0;

    private readonly SortedDictionary<int, (byte Type, object Value)> _fields = [];

    /// <summary>The value of a field; null where the struct has none.</summary>
    public T? Get<T>(int id)
        where T : class => _fields.TryGetValue(id, out (byte Type, object Value) field) ? (T)field.Value : null;

    /// <summary>The integer of a field; null where the struct has none.</summary>
    public long? GetInteger(int id) => _fields.TryGetValue(id, out (byte Type, object Value) field) ? (long)field.Value : null;

    public bool Has(int id) => _fields.ContainsKey(id);

    public void Set(int id, byte type, object value) => _fields[id] = (type, value);

    public void Remove(int id) => _fields.Remove(id);

    /// <summary>Reads a struct whose lengths were checked (<see cref="ThriftCheck.IsWhole"/>).</summary>
    /// <exception cref="InvalidDataException">It holds a map, which no footer does.</exception>
    public static ThriftStruct Read(ref ReadOnlySpan<byte> bytes)
    {
        var result = new ThriftStruct();
        for (int id = 0; ReadByte(ref bytes) is var header && header != Stop;)
        {
            byte type = (byte)(header & 0x0F);
            id = header >> 4 == 0 ? (int)ReadInteger(ref bytes) : id + (header >> 4);
            result._fields[id] = (type, type is True or False ? type == True : ReadValue(type, ref bytes));
        }
        return result;
    }

    public void Write(List<byte> target)
    {
        int last = 0;
        foreach ((int id, (byte type, object value)) in _fields)
        {
            int step = id - last;
            byte written = value is bool truth ? truth ? True : False : type;
            target.Add((byte)(step is > 0 and < 16 ? step << 4 | written : written));
            if (step is not (> 0 and < 16))
                WriteInteger(id, target);
            if (value is not bool)
                WriteValue(type, value, target);
            last = id;
        }
        target.Add(Stop);
    }

    private static object ReadValue(byte type, ref ReadOnlySpan<byte> bytes) => type switch
    {
        Byte => ReadByte(ref bytes),
        Int16 or Int32 or Int64 => ReadInteger(ref bytes),
        Double => ReadBytes(ref bytes, sizeof(double)),
        Binary => ReadBytes(ref bytes, (int)ReadVarint(ref bytes)),
        List or SetList => ReadList(ref bytes),
        Struct => Read(ref bytes),
        _ => throw new InvalidDataException($"the footer has a value of Thrift's type {type}"),
    };

    private static ThriftList ReadList(ref ReadOnlySpan<byte> bytes)
    {
        const int LongList = 15;
        byte header = ReadByte(ref bytes), type = (byte)(header & 0x0F);
        int count = header >> 4 == LongList ? (int)ReadVarint(ref bytes) : header >> 4;
        var items = new List<object>(count);
        for (int i = 0; i < count; i++)
            items.Add(type is True or False ? ReadByte(ref bytes) == True : ReadValue(type, ref bytes));
        return new ThriftList(type, items);
    }

    private static void WriteValue(byte type, object value, List<byte> target)
    {
        switch (value)
        {
            case byte single:
                target.Add(single);
                break;
            case long number:
                WriteInteger(number, target);
                break;
            case byte[] binary:
                if (type == Binary) WriteVarint((ulong)binary.Length, target);
                target.AddRange(binary);
                break;
            case ThriftList list:
                target.Add((byte)(Math.Min(list.Items.Count, 15) << 4 | list.ItemType));
                if (list.Items.Count >= 15) WriteVarint((ulong)list.Items.Count, target);
                foreach (object item in list.Items)
                    if (item is bool truth) target.Add(truth ? True : False);
                    else WriteValue(list.ItemType, item, target);
                break;
            default:
                ((ThriftStruct)value).Write(target);
                break;
        }
    }

    private static byte ReadByte(ref ReadOnlySpan<byte> bytes)
    {
        byte value = bytes[0];
        bytes = bytes[1..];
        return value;
    }

    private static byte[] ReadBytes(ref ReadOnlySpan<byte> bytes, int count)
    {
        byte[] value = bytes[..count].ToArray();
        bytes = bytes[count..];
        return value;
    }

    private static ulong ReadVarint(ref ReadOnlySpan<byte> bytes)
    {
        ulong value = 0;
        for (int shift = 0; ; shift += 7)
        {
            byte next = ReadByte(ref bytes);
            value |= (ulong)(next & 0x7F) << shift;
            if (next < 0x80) return value;
        }
    }

    private static void WriteVarint(ulong value, List<byte> target)
    {
        for (; value >= 0x80; value >>= 7)
            target.Add((byte)(value & 0x7F | 0x80));
        target.Add((byte)value);
    }

    // Integers are written zigzag: 0, -1, 1, -2, ...
    private static long ReadInteger(ref ReadOnlySpan<byte> bytes)
    {
        ulong value = ReadVarint(ref bytes);
        return (long)(value >> 1) ^ -(long)(value & 1);
    }

    private static void WriteInteger(long value, List<byte> target) => WriteVarint((ulong)(value << 1 ^ value >> 63), target);
}
