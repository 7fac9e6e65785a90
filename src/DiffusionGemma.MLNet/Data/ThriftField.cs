namespace DiffusionGemma;

/// <summary>The type that a reader expects of a field of Thrift's compact protocol.</summary>
/// <param name="Type">The protocol's type number (<see cref="ThriftStruct"/>); of integers and of booleans any one stands for all.</param>
/// <param name="Items">The type of a list's items.</param>
/// <param name="Fields">The fields of a struct, or of a list's structs, by their numbers; null: none is known.</param>
internal sealed record ThriftField(byte Type, byte Items = 0, IReadOnlyDictionary<int, ThriftField>? Fields = null)
{
    public static ThriftField Integer { get; } = new(ThriftStruct.Int64);

    public static ThriftField Bool { get; } = new(ThriftStruct.True);

    public static ThriftField I8 { get; } = new(ThriftStruct.Byte);

    public static ThriftField Float64 { get; } = new(ThriftStruct.Double);

    public static ThriftField Binary { get; } = new(ThriftStruct.Binary);

    public static ThriftField Struct(params IEnumerable<(int Number, ThriftField Field)> fields) =>
        new(ThriftStruct.Struct, 0, fields.ToDictionary(field => field.Number, field => field.Field));

    public static ThriftField List(ThriftField item) => new(ThriftStruct.List, item.Type, item.Fields);

    /// <summary>True where a value of the type is read as this field's.</summary>
    public static bool Is(byte expected, int type) => expected switch
    {
        ThriftStruct.Int64 => type is ThriftStruct.Int16 or ThriftStruct.Int32 or ThriftStruct.Int64,
        ThriftStruct.True => type is ThriftStruct.True or ThriftStruct.False,
        _ => type == expected,
    };
}
