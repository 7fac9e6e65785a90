using System.Text.Json;

namespace DiffusionGemma;

/// <summary>Reads the values of columns from a JSON answer.</summary>
internal sealed class AnswerValues
{
    private static readonly JsonDocumentOptions Deep = new() { MaxDepth = 256 };

    private readonly IReadOnlyList<AnswerColumn> _columns;
    private readonly Dictionary<string, uint>[] _keys;

    public AnswerValues(IReadOnlyList<AnswerColumn> columns)
    {
        _columns = columns;
        _keys = [.. columns.Select(column => column.Keys.Select((key, index) => (key, index)).ToDictionary(
            pair => pair.key, pair => (uint)pair.index + 1, StringComparer.Ordinal))];
    }

    /// <summary>The values of an answer, boxed, in the columns' order.</summary>
    /// <param name="json">An instance of the columns' schema; empty: every value is missing.</param>
    public object[] Read(string json)
    {
        if (json.Length == 0) return [.. _columns.Select((_, index) => Value(index, null))];
        using JsonDocument document = JsonDocument.Parse(json, Deep);
        return [.. _columns.Select((column, index) => Value(index, Find(document.RootElement, column.Path)))];
    }

    /// <summary>The getter of a column's value.</summary>
    /// <param name="index">The column.</param>
    /// <param name="values">The current row's values.</param>
    public Delegate MakeGetter(int index, Func<object[]> values) => _columns[index].Kind switch
    {
        ColumnKind.Text => Make<ReadOnlyMemory<char>>(index, values),
        ColumnKind.Integer => Make<long>(index, values),
        ColumnKind.Boolean => Make<bool>(index, values),
        ColumnKind.Single => Make<float>(index, values),
        ColumnKind.Double => Make<double>(index, values),
        _ => Make<uint>(index, values),
    };

    private Delegate Make<T>(int index, Func<object[]> values)
        where T : struct =>
        _columns[index].IsVector ? Getters.Vector(() => (T[])values()[index]) : Getters.Value(() => (T)values()[index]);

    private object Value(int index, JsonElement? value)
    {
        AnswerColumn column = _columns[index];
        return column.Kind switch
        {
            ColumnKind.Text => Shaped(value, element => (element?.GetString() ?? "").AsMemory()),
            ColumnKind.Integer => Shaped(value, element => element?.GetInt64() ?? 0),
            ColumnKind.Boolean => Shaped(value, element => element?.GetBoolean() ?? false),
            ColumnKind.Single => Shaped(value, element => element is { ValueKind: JsonValueKind.True or JsonValueKind.False } truth
                ? truth.GetBoolean() ? 1f : 0f : element?.GetSingle() ?? float.NaN),
            ColumnKind.Double => Shaped(value, element => element?.GetDouble() ?? double.NaN),
            _ => Shaped(value, element => element is { } literal ? _keys[index][KeyText(literal)] : 0u),
        };

        object Shaped<T>(JsonElement? element, Func<JsonElement?, T> read)
            where T : struct
        {
            if (!column.IsVector) return read(element);
            return element is { } array ? (T[])[.. array.EnumerateArray().Select(item => read(OrNull(item)))] : (T[])[];
        }
    }

    private static string KeyText(JsonElement literal) =>
        literal.ValueKind == JsonValueKind.String ? literal.GetString()! : literal.GetRawText();

    private static JsonElement? Find(JsonElement root, IReadOnlyList<string> path)
    {
        JsonElement at = root;
        foreach (string name in path)
            if (at.ValueKind != JsonValueKind.Object || !at.TryGetProperty(name, out at))
                return null;
        return OrNull(at);
    }

    private static JsonElement? OrNull(JsonElement element) => element.ValueKind == JsonValueKind.Null ? null : element;
}
