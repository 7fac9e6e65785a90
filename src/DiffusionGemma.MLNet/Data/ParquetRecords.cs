using System.Text.Json;
using Parquet;
using Parquet.Schema;

namespace DiffusionGemma;

/// <summary>Assembles the rows of one row group from its columns.</summary>
/// <remarks>
/// A nested column is stored as one stream of values for each leaf; the definition level says how deep the path to a value is not null, the
/// repetition level which list it continues (Dremel encoding).
/// </remarks>
internal sealed class ParquetRecords : IDisposable
{
    private readonly IReadOnlyList<Field> _columns;
    private readonly Dictionary<DataField, ParquetLeaf> _leaves = [];

    /// <param name="group">The row group.</param>
    /// <param name="columns">The columns that are read.</param>
    /// <param name="file">The file that it is in, for the headers of its pages.</param>
    public ParquetRecords(ParquetRowGroupReader group, IReadOnlyList<Field> columns, Stream file)
    {
        _columns = columns;
        try
        {
            foreach (DataField field in columns.SelectMany(Leaves))
            {
                if (group.GetMetadata(field)?.MetaData is { } chunk) ParquetPages.Require(file, chunk);
                _leaves.Add(field, ParquetLeaf.Read(group, field));
            }
        }
        catch
        {
            Dispose();
            throw;
        }
    }

    public void WriteNext(Utf8JsonWriter writer)
    {
        WriteObject(writer, _columns);
        writer.Flush();
    }

    /// <summary>Refuses a row group that has fewer rows than its columns have: the others would be left out in silence.</summary>
    public void RequireEnd(int group, long rows)
    {
        foreach ((DataField field, ParquetLeaf leaf) in _leaves)
            if (!leaf.IsAtEnd)
                throw new InvalidDataException(
                    $"row group {group} claims {rows} rows, and its column '{field.Path}' has more; fetch the file again");
    }

    public void Dispose()
    {
        foreach (ParquetLeaf leaf in _leaves.Values)
            leaf.Dispose();
    }

    /// <summary>An object with the fields that are not null.</summary>
    private void WriteObject(Utf8JsonWriter writer, IEnumerable<Field> fields)
    {
        writer.WriteStartObject();
        foreach (Field field in fields)
        {
            if (IsNull(field))
            {
                Skip(field);
                continue;
            }
            writer.WritePropertyName(field.Name);
            WriteValue(writer, field);
        }
        writer.WriteEndObject();
    }

    private void WriteValue(Utf8JsonWriter writer, Field field)
    {
        switch (field)
        {
            case DataField data:
                _leaves[data].WriteNext(writer);
                break;
            case StructField structure:
                WriteObject(writer, structure.Fields);
                break;
            case ListField list:
                WriteList(writer, list);
                break;
        }
    }

    private void WriteList(Utf8JsonWriter writer, ListField list)
    {
        writer.WriteStartArray();
        ParquetLeaf first = FirstLeaf(list);
        if (first.Definition < list.MaxDefinitionLevel)
        {
            Skip(list);                                             // not null, but empty
        }
        else
        {
            do
            {
                if (IsNull(list.Item))
                {
                    Skip(list.Item);
                    writer.WriteNullValue();
                }
                else
                {
                    WriteValue(writer, list.Item);
                }
            }
            while (first.Repetition == list.MaxRepetitionLevel);
        }
        writer.WriteEndArray();
    }

    /// <summary>
    /// True where the field is null; the highest definition level of a list belongs to its items, the one below it to an empty list.
    /// </summary>
    private bool IsNull(Field field) =>
        field.IsNullable && FirstLeaf(field).Definition < (field is ListField ? field.MaxDefinitionLevel - 1 : field.MaxDefinitionLevel);

    private void Skip(Field field)
    {
        foreach (DataField leaf in Leaves(field))
            _leaves[leaf].Skip();
    }

    private ParquetLeaf FirstLeaf(Field field) => _leaves[Leaves(field).First()];

    private static IEnumerable<DataField> Leaves(Field field) => field switch
    {
        DataField data => [data],
        StructField structure => structure.Fields.SelectMany(Leaves),
        ListField list => Leaves(list.Item),
        _ => throw new InvalidOperationException($"Column '{field.Path}' was to be refused before it is read."),
    };

    /// <summary>The first part of the column that has no form in JSON; null where all have.</summary>
    public static Field? FindUnreadable(Field field) => field switch
    {
        DataField data => ParquetLeaf.CanRead(data) ? null : data,
        StructField structure => structure.Fields.Select(FindUnreadable).FirstOrDefault(part => part is not null),
        ListField list => FindUnreadable(list.Item),
        _ => field,
    };
}
