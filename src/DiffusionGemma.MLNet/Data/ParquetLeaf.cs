using System.Text.Json;
using Parquet;
using Parquet.Data;
using Parquet.Schema;

namespace DiffusionGemma;

/// <summary>One column of plain values in a row group, read from its first value to its last.</summary>
internal abstract class ParquetLeaf : IDisposable
{
    private static readonly HashSet<Type> Types =
    [
        typeof(ReadOnlyMemory<char>), typeof(bool), typeof(sbyte), typeof(byte), typeof(short), typeof(ushort), typeof(int), typeof(uint),
            typeof(long), typeof(ulong),
        typeof(float), typeof(double),
    ];

    private readonly RawColumnData _column;
    private readonly int _definitions;
    private readonly int _repetitions;
    private int _level;

    private ParquetLeaf(RawColumnData column, DataField field)
    {
        _column = column;
        _definitions = field.MaxDefinitionLevel;
        _repetitions = field.MaxRepetitionLevel;
    }

    /// <summary>The definition level of the value that comes next.</summary>
    public int Definition => _definitions == 0 ? 0 : _column.DefinitionLevels[_level];

    /// <summary>The repetition level of the value that comes next; 0, a new row, after the last.</summary>
    public int Repetition => _repetitions == 0 || _level == _column.RepetitionLevels.Length ? 0 : _column.RepetitionLevels[_level];

    /// <summary>True once every value has been read.</summary>
    public bool IsAtEnd => _level == (_definitions == 0 ? ValueCount : _column.DefinitionLevels.Length);

    /// <summary>Values that are not null.</summary>
    protected abstract int ValueCount { get; }

    /// <summary>Passes over a null, which has levels and no value.</summary>
    public void Skip() => _level++;

    public void WriteNext(Utf8JsonWriter writer)
    {
        WriteNextValue(writer);
        _level++;
    }

    public void Dispose() => _column.Dispose();

    protected abstract void WriteNextValue(Utf8JsonWriter writer);

    /// <summary>True where the values have a JSON form: texts, truth values and numbers that JSON can tell apart from a text.</summary>
    public static bool CanRead(DataField field) => !field.IsArray && Types.Contains(field.ClrType);

    public static ParquetLeaf Read(ParquetRowGroupReader group, DataField field)
    {
        RawColumnData column = Blocking.Run(() => group.ReadRawColumnDataBaseAsync(field).AsTask());
        return column switch
        {
            RawColumnData<ReadOnlyMemory<char>> text => new Leaf<ReadOnlyMemory<char>>(text, field,
                static (writer, value) => writer.WriteStringValue(value.Span)),
            RawColumnData<bool> truth => new Leaf<bool>(truth, field, static (writer, value) => writer.WriteBooleanValue(value)),
            RawColumnData<sbyte> number => new Leaf<sbyte>(number, field, static (writer, value) => writer.WriteNumberValue(value)),
            RawColumnData<byte> number => new Leaf<byte>(number, field, static (writer, value) => writer.WriteNumberValue(value)),
            RawColumnData<short> number => new Leaf<short>(number, field, static (writer, value) => writer.WriteNumberValue(value)),
            RawColumnData<ushort> number => new Leaf<ushort>(number, field, static (writer, value) => writer.WriteNumberValue(value)),
            RawColumnData<int> number => new Leaf<int>(number, field, static (writer, value) => writer.WriteNumberValue(value)),
            RawColumnData<uint> number => new Leaf<uint>(number, field, static (writer, value) => writer.WriteNumberValue(value)),
            RawColumnData<long> number => new Leaf<long>(number, field, static (writer, value) => writer.WriteNumberValue(value)),
            RawColumnData<ulong> number => new Leaf<ulong>(number, field, static (writer, value) => writer.WriteNumberValue(value)),
            // As Python reads it: widened, so that 0.1f is 0.10000000149011612.
            RawColumnData<float> number => new Leaf<float>(number, field, static (writer, value) => JsonNumber.WriteFloat(writer, value)),
            RawColumnData<double> number => new Leaf<double>(number, field, JsonNumber.WriteFloat),
            _ => throw new InvalidOperationException($"Column '{field.Path}' was to be refused before it is read."),
        };
    }

    private sealed class Leaf<T>(RawColumnData<T> column, DataField field, Action<Utf8JsonWriter, T> write) : ParquetLeaf(column, field)
        where T : struct
    {
        private int _next;

        protected override int ValueCount => column.Values.Length;

        // Nulls take no place among the values.
        protected override void WriteNextValue(Utf8JsonWriter writer) => write(writer, column.Values[_next++]);
    }
}
