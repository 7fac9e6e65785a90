using System.Globalization;
using System.Text.Json;
using System.Text.Json.Nodes;
using System.Text.Json.Schema;
using System.Text.Json.Serialization.Metadata;

namespace DiffusionGemma;

/// <summary>The JSON schema of a .NET type: System.Text.Json's own, narrowed to what the type can hold.</summary>
internal static class TypeSchema
{
    private static readonly Dictionary<Type, (string Least, string Most)> Bounds = new()
    {
        [typeof(sbyte)] = Range(sbyte.MinValue, sbyte.MaxValue),
        [typeof(byte)] = Range(byte.MinValue, byte.MaxValue),
        [typeof(short)] = Range(short.MinValue, short.MaxValue),
        [typeof(ushort)] = Range(ushort.MinValue, ushort.MaxValue),
        [typeof(int)] = Range(int.MinValue, int.MaxValue),
        [typeof(uint)] = Range(uint.MinValue, uint.MaxValue),
        [typeof(ulong)] = Range(ulong.MinValue, ulong.MaxValue),
        [typeof(UInt128)] = ("0", "9999999999999999999999999999"),
        [typeof(Half)] = Range(Half.MinValue, Half.MaxValue),
    };

    /// <summary>Texts that a type is read from, where its schema allows others too.</summary>
    private static readonly Dictionary<Type, string> Patterns = new()
    {
        [typeof(DateTime)] = $"^(?:{StringFormats.LocalDateTime})$",
        [typeof(TimeOnly)] = "^(?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]$",
        [typeof(TimeSpan)] = "^-?(?:[1-9][0-9]{0,5}\\.)?(?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](?:\\.[0-9]{7})?$",
        [typeof(char)] = "^[\\u0000-\\uFFFF]$",
        [typeof(byte[])] = Base64,
        [typeof(Memory<byte>)] = Base64,
        [typeof(ReadOnlyMemory<byte>)] = Base64,
        [typeof(Version)] = "^(?:0|[1-9][0-9]{0,8})(?:\\.(?:0|[1-9][0-9]{0,8})){1,3}$",
    };

    private const string Base64 = "^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/][AQgw]==|[A-Za-z0-9+/]{2}[AEIMQUYcgkosw048]=)?$";

    public static string Export(Type type, JsonSerializerOptions serializer)
    {
        if (serializer.TypeInfoResolver is null)
            serializer = new JsonSerializerOptions(serializer) { TypeInfoResolver = new DefaultJsonTypeInfoResolver() };
        var options = new JsonSchemaExporterOptions { TreatNullObliviousAsNonNullable = true, TransformSchemaNode = Narrow };
        try
        {
            return serializer.GetJsonSchemaAsNode(type, options).ToJsonString(JsonForm.Options);
        }
        catch (Exception e) when (e is NotSupportedException or InvalidOperationException)
        {
            throw new GrammarException($"System.Text.Json makes no schema of {type}: {e.Message}");
        }
    }

    /// <summary>Narrows a schema to what the type is read from, in the form that it is written in.</summary>
    private static JsonNode Narrow(JsonSchemaExporterContext context, JsonNode schema)
    {
        Type type = Nullable.GetUnderlyingType(context.TypeInfo.Type) ?? context.TypeInfo.Type;
        if (schema is not JsonObject node) return schema;
        string path = string.Join('/', ["#", .. context.Path.ToArray()]);
        if (node["not"]?.GetValueKind() == JsonValueKind.True)
            throw new GrammarException($"The schema's {path} is {type}, which System.Text.Json does not read.", path);
        RemoveQuotedNumbers(node);
        if (type.IsEnum) NarrowEnum(type, node, path);
        if (Bounds.TryGetValue(type, out (string Least, string Most) bounds) && !node.ContainsKey("enum"))
        {
            node["minimum"] = JsonNode.Parse(bounds.Least);
            node["maximum"] = JsonNode.Parse(bounds.Most);
        }
        if (Patterns.TryGetValue(type, out string? pattern))
        {
            foreach (string wider in (string[])["format", "pattern", "minLength", "maxLength"]) node.Remove(wider);
            node["pattern"] = pattern;
        }
        MoveIntoAlternatives(node);
        return node;
    }

    /// <summary>
    /// Leaves the number where JsonNumberHandling.AllowReadingFromString adds the text of one: its pattern is wider than the type.
    /// </summary>
    private static void RemoveQuotedNumbers(JsonObject node)
    {
        if (node["type"] is not JsonArray types || !IsText(types) || !types.Any(IsNumber)) return;
        JsonNode?[] others = [.. types.Where(type => !IsText(type)).Select(type => type?.DeepClone())];
        node["type"] = others is [var only] ? only : new JsonArray(others);
        node.Remove("pattern");
    }

    /// <summary>Lists the values of an enum that is written as a number; combinations of names cannot be listed.</summary>
    private static void NarrowEnum(Type type, JsonObject node, string path)
    {
        if (node.ContainsKey("enum")) return;
        bool isFlags = type.IsDefined(typeof(FlagsAttribute), inherit: false);
        if (IsText(node["type"]))
        {
            if (isFlags)
                throw new GrammarException(
                    $"The schema's {path} is {type.Name}, an enum with [Flags], whose values are combinations of names: use an array of "
                    + "an enum without [Flags].", path);
            return;
        }
        if (isFlags)
        {
            if (Bounds.TryGetValue(Enum.GetUnderlyingType(type), out (string Least, string Most) bounds))
                (node["minimum"], node["maximum"]) = (JsonNode.Parse(bounds.Least), JsonNode.Parse(bounds.Most));
            return;
        }
        IEnumerable<JsonNode?> values = Enum.GetValuesAsUnderlyingType(type).Cast<IFormattable>()
            .Select(value => value.ToString(null, CultureInfo.InvariantCulture)).Distinct().Select(value => JsonNode.Parse(value));
        if (node["type"] is JsonArray types && types.Any(name => name?.GetValue<string>() == "null")) values = values.Append(null);
        node.Remove("type");
        node["enum"] = new JsonArray([.. values]);
    }

    /// <summary>
    /// Moves what stands beside the alternatives of a polymorphic type into each of them:
    /// <code>
    /// {"type":"object","required":["kind"],"anyOf":[{"properties":{"kind":{"const":"cat"}}}, ...]}
    /// {"anyOf":[{"type":"object","properties":{"kind":{"const":"cat"}},"required":["kind"]}, ...]}
    /// </code>
    /// </summary>
    private static void MoveIntoAlternatives(JsonObject node)
    {
        if (node["anyOf"] is not JsonArray alternatives || alternatives.Any(alternative => alternative is not JsonObject)) return;
        if (node["type"] is { } type && node.Remove("type"))
        {
            foreach (JsonObject alternative in alternatives.OfType<JsonObject>())
                if (!alternative.ContainsKey("type")) alternative["type"] = type.DeepClone();
        }
        if (node["required"] is not JsonArray required || !node.Remove("required")) return;
        foreach (JsonObject alternative in alternatives.OfType<JsonObject>())
        {
            JsonArray all = alternative["required"] as JsonArray ?? [];
            foreach (JsonNode? name in required)
                if (!all.Any(known => JsonNode.DeepEquals(known, name))) all.Add(name?.DeepClone());
            alternative["required"] = all;
        }
    }

    private static bool IsNumber(JsonNode? type) =>
        type is JsonValue value && value.TryGetValue(out string? name) && (name is "integer" or "number");

    private static bool IsText(JsonNode? type) => type switch
    {
        JsonArray types => types.Any(IsText),
        JsonValue value => value.TryGetValue(out string? name) && name == "string",
        _ => false,
    };

    private static (string, string) Range<T>(T least, T most)
        where T : IFormattable =>
        (least.ToString(null, CultureInfo.InvariantCulture), most.ToString(null, CultureInfo.InvariantCulture));
}
