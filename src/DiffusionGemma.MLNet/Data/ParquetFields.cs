using static DiffusionGemma.ThriftField;

namespace DiffusionGemma;

/// <summary>The fields of parquet's footer and page headers. (apache/parquet-format, parquet.thrift.)</summary>
internal static class ParquetFields
{
    private static readonly ThriftField Empty = Struct();

    private static readonly ThriftField KeyValue = Struct((1, Binary), (2, Binary));

    private static readonly ThriftField Statistics = Struct(
        (1, Binary), (2, Binary), (3, Integer), (4, Integer), (5, Binary), (6, Binary), (7, Bool), (8, Bool));

    private static readonly ThriftField Time = Struct((1, Bool), (2, Struct((1, Empty), (2, Empty), (3, Empty))));

    private static readonly ThriftField LogicalType = Struct(
    [
        .. new[] { 1, 2, 3, 4, 6, 11, 12, 13, 14, 15 }.Select(number => (number, Empty)),
        (5, Struct((1, Integer), (2, Integer))), (7, Time), (8, Time), (10, Struct((1, I8), (2, Bool))), (16, Struct((1, I8))),
        (17, Struct((1, Binary))), (18, Struct((1, Binary), (2, Integer))),
    ]);

    private static readonly ThriftField SchemaElement = Struct(
        (1, Integer), (2, Integer), (3, Integer), (4, Binary), (5, Integer), (6, Integer), (7, Integer), (8, Integer), (9, Integer),
        (10, LogicalType));

    private static readonly ThriftField ColumnMetaData = Struct(
        (1, Integer), (2, List(Integer)), (3, List(Binary)), (4, Integer), (5, Integer), (6, Integer), (7, Integer), (8, List(KeyValue)),
        (9, Integer), (10, Integer), (11, Integer), (12, Statistics), (13, List(Struct((1, Integer), (2, Integer), (3, Integer)))),
        (14, Integer), (15, Integer), (16, Struct((1, Integer), (2, List(Integer)), (3, List(Integer)))),
        (17, Struct((1, Struct(Enumerable.Range(1, 8).Select(number => (number, Float64)))), (2, List(Integer)))));

    private static readonly ThriftField ColumnChunk = Struct(
        (1, Binary), (2, Integer), (3, ColumnMetaData), (4, Integer), (5, Integer), (6, Integer), (7, Integer),
        (8, Struct((1, Empty), (2, Struct((1, List(Binary)), (2, Binary))))), (9, Binary));

    private static readonly ThriftField RowGroup = Struct(
        (1, List(ColumnChunk)), (2, Integer), (3, Integer), (4, List(Struct((1, Integer), (2, Bool), (3, Bool)))), (5, Integer),
        (6, Integer), (7, Integer));

    private static readonly ThriftField Encryption = Struct((1, Binary), (2, Binary), (3, Bool));

    public static ThriftField Footer { get; } = Struct(
        (1, Integer), (2, List(SchemaElement)), (3, Integer), (4, List(RowGroup)), (5, List(KeyValue)), (6, Binary),
        (7, List(Struct((1, Empty), (2, Empty)))), (8, Struct((1, Encryption), (2, Encryption))), (9, Binary));

    public static ThriftField PageHeader { get; } = Struct(
        (1, Integer), (2, Integer), (3, Integer), (4, Integer),
        (5, Struct((1, Integer), (2, Integer), (3, Integer), (4, Integer), (5, Statistics))), (6, Empty),
        (7, Struct((1, Integer), (2, Integer), (3, Bool))),
        (8, Struct((1, Integer), (2, Integer), (3, Integer), (4, Integer), (5, Integer), (6, Integer), (7, Bool), (8, Statistics))));
}
