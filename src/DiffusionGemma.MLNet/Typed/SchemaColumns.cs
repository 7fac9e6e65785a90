using System.Globalization;
using System.Reflection;
using System.Text.Json;
using System.Text.Json.Nodes;
using System.Text.Json.Serialization.Metadata;

namespace DiffusionGemma;

/// <summary>
/// Finds the columns of a JSON schema's instances: one for each value whose place is fixed. Arrays of objects or arrays, alternatives of
/// several types and recursive parts have none.
/// <code>
/// {"item":"pen","size":{"width":2},"tags":["a","b"],"lines":[{"n":1}]}      item   size.width   tags
/// </code>
/// </summary>
internal sealed class SchemaColumns
{
    private readonly JsonNode _root;
    private readonly JsonSerializerOptions? _serializer;
    private readonly List<AnswerColumn> _columns = [];
    private readonly HashSet<string> _open = [];

    private SchemaColumns(JsonNode root, JsonSerializerOptions? serializer) => (_root, _serializer) = (root, serializer);

    /// <summary>Finds the columns of a schema that a grammar was made from.</summary>
    /// <param name="schema">The schema.</param>
    /// <param name="type">The .NET type that it describes, whose members name the columns; null: JSON's names are used.</param>
    /// <param name="serializer">How the type is serialised; null without one.</param>
    /// <exception cref="ArgumentException">The schema's instances are no objects, or two values make a column of one name.</exception>
    public static IReadOnlyList<AnswerColumn> Read(string schema, Type? type = null, JsonSerializerOptions? serializer = null)
    {
        JsonNode root = JsonNode.Parse(schema)!;
        var reader = new SchemaColumns(root, type is null ? null : serializer);
        Shape shape = reader.Resolve(root, isOptional: false);
        if (shape.Type != "object")
            throw new ArgumentException("Extract makes a column of every property, and the instances of the schema are no objects: give a "
                + "type with a property for the value.");
        reader.Visit(root, "", [], isOptional: false, type);
        if (reader._columns.GroupBy(column => column.Name).FirstOrDefault(group => group.Count() > 1) is { } twice)
            throw new ArgumentException($"Two values of the schema make a column of the name '{twice.Key}': rename one of the properties.");
        return reader._columns;
    }

    /// <summary>A schema without references and null, and what it is.</summary>
    /// <param name="Schema">The schema; null where it is none of one type.</param>
    /// <param name="Type">Its type, or "enum"; null where it is none of one type.</param>
    /// <param name="IsOptional">Whether it may be null or missing.</param>
    /// <param name="Opened">The references that were followed.</param>
    private readonly record struct Shape(JsonObject? Schema, string? Type, bool IsOptional, IReadOnlyList<string> Opened);

    private void Visit(JsonNode? node, string name, string[] path, bool isOptional, Type? type)
    {
        Shape shape = Resolve(node, isOptional);
        // A part inside itself has no fixed place.
        if (shape.Schema is not { } schema || !shape.Opened.All(_open.Add)) return;
        switch (shape.Type)
        {
            case "object":
                string[] required = [.. (schema["required"] as JsonArray ?? []).Select(one => one!.GetValue<string>())];
                foreach ((string key, JsonNode? property) in schema["properties"] as JsonObject ?? [])
                {
                    (string member, Type? memberType) = Member(type, key);
                    Visit(property, name.Length == 0 ? member : $"{name}.{member}", [.. path, key],
                        shape.IsOptional || !required.Contains(key), memberType);
                }
                break;
            case "array":
                Shape item = Resolve(schema["items"], isOptional: false);
                if (item.Type is not (null or "object" or "array")) Add(item, isVector: true, ElementOf(type));
                break;
            case not null:
                Add(shape, isVector: false, type);
                break;
        }
        foreach (string reference in shape.Opened) _open.Remove(reference);

        void Add(Shape value, bool isVector, Type? valueType)
        {
            if (KindOf(value, valueType) is not { } kind) return;
            string[] keys = kind == ColumnKind.Key ? [.. Literals(value.Schema!).Select(KeyText)] : [];
            _columns.Add(new AnswerColumn(name, path, kind, isVector, keys));
        }
    }

    private static ColumnKind? KindOf(Shape shape, Type? type) => shape.Type switch
    {
        "string" => ColumnKind.Text,
        "integer" => shape.IsOptional || !FitsInt64(shape.Schema!) ? ColumnKind.Double : ColumnKind.Integer,
        "number" => type is not null && (Nullable.GetUnderlyingType(type) ?? type) == typeof(float) ? ColumnKind.Single : ColumnKind.Double,
        "boolean" => shape.IsOptional ? ColumnKind.Single : ColumnKind.Boolean,
        "enum" => ColumnKind.Key,
        _ => null,
    };

    private static bool FitsInt64(JsonObject schema) => new[] { "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum" }.All(bound =>
        schema[bound] is not { } node
        || !decimal.TryParse(node.ToJsonString(), NumberStyles.Float, CultureInfo.InvariantCulture, out decimal value)
        || value is >= long.MinValue and <= long.MaxValue);

    /// <summary>The text of a key's value: of strings what they say, of others their JSON.</summary>
    public static string KeyText(JsonNode? literal) =>
        literal is JsonValue value && value.TryGetValue(out string? text) ? text : literal?.ToJsonString() ?? "null";

    /// <summary>The values of an enum or const but null.</summary>
    private static IEnumerable<JsonNode?> Literals(JsonObject schema) =>
        (schema.ContainsKey("const") ? new[] { schema["const"] } : (IEnumerable<JsonNode?>)(JsonArray)schema["enum"]!)
        .Where(literal => literal is not null);

    private Shape Resolve(JsonNode? node, bool isOptional)
    {
        var opened = new List<string>();
        while (true)
        {
            if (node is not JsonObject schema) return new Shape(null, null, isOptional, opened);
            if (schema["$ref"]?.GetValue<string>() is { } reference)
            {
                if (opened.Contains(reference)) return new Shape(null, null, isOptional, opened);
                opened.Add(reference);
                node = Target(reference);
                continue;
            }
            if ((schema["anyOf"] ?? schema["oneOf"]) is JsonArray alternatives)
            {
                JsonNode?[] others = [.. alternatives.Where(one => one is not JsonObject { } only || only["type"]?.ToString() != "null")];
                if (others is not [var single]) return new Shape(null, null, isOptional, opened);
                isOptional |= alternatives.Count > 1;
                node = single;
                continue;
            }
            if (schema.ContainsKey("const") || schema.ContainsKey("enum"))
            {
                bool hasNull = schema.ContainsKey("const") ? schema["const"] is null : ((JsonArray)schema["enum"]!).Any(one => one is null);
                return Literals(schema).Any()
                    ? new Shape(schema, "enum", isOptional || hasNull, opened) : new Shape(null, null, true, opened);
            }
            string[] types = schema["type"] is JsonArray several
                ? [.. several.Select(one => one!.GetValue<string>())] : [schema["type"]?.GetValue<string>() ?? "object"];
            isOptional |= types.Contains("null");
            types = [.. types.Where(type => type != "null")];
            // Every integer is a number.
            if (types.Contains("number")) types = [.. types.Where(type => type != "integer")];
            return types is [var known] ? new Shape(schema, known, isOptional, opened) : new Shape(null, null, isOptional, opened);
        }
    }

    private JsonNode? Target(string reference)
    {
        JsonNode? node = _root;
        foreach (string part in reference.Split('/').Skip(1))
        {
            string name = Uri.UnescapeDataString(part).Replace("~1", "/", StringComparison.Ordinal)
                .Replace("~0", "~", StringComparison.Ordinal);
            node = node is JsonArray array ? array[int.Parse(name, CultureInfo.InvariantCulture)] : node?[name];
        }
        return node;
    }

    /// <summary>The .NET member behind a JSON property: its name and type.</summary>
    private (string Name, Type? Type) Member(Type? type, string key)
    {
        if (type is null || _serializer is null) return (key, null);
        JsonTypeInfo info = _serializer.GetTypeInfo(Nullable.GetUnderlyingType(type) ?? type);
        if (info.Properties.FirstOrDefault(property => property.Name == key) is not { } found) return (key, null);
        return (found.AttributeProvider is MemberInfo member ? member.Name : key, found.PropertyType);
    }

    private Type? ElementOf(Type? type) => type is null || _serializer is null ? null : _serializer.GetTypeInfo(type).ElementType;
}
