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
    };

    public static string Export(Type type, JsonSerializerOptions serializer)
    {
        if (serializer.TypeInfoResolver is null)
            serializer = new JsonSerializerOptions(serializer) { TypeInfoResolver = new DefaultJsonTypeInfoResolver() };
        var options = new JsonSchemaExporterOptions { TreatNullObliviousAsNonNullable = true, TransformSchemaNode = Narrow };
        return serializer.GetJsonSchemaAsNode(type, options).ToJsonString(JsonForm.Options);
    }

    /// <summary>Adds an integer's bounds, and gives a time of day without an offset the pattern that it is read by.</summary>
    private static JsonNode Narrow(JsonSchemaExporterContext context, JsonNode schema)
    {
        Type type = Nullable.GetUnderlyingType(context.TypeInfo.Type) ?? context.TypeInfo.Type;
        if (schema is not JsonObject node) return schema;
        if (Bounds.TryGetValue(type, out (string Least, string Most) bounds) && !node.ContainsKey("enum"))
        {
            node["minimum"] = JsonNode.Parse(bounds.Least);
            node["maximum"] = JsonNode.Parse(bounds.Most);
        }
        if (type == typeof(TimeOnly) && node.Remove("format")) node["pattern"] = "^(?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]$";
        return node;
    }

    private static (string, string) Range<T>(T least, T most)
        where T : IFormattable =>
        (least.ToString(null, CultureInfo.InvariantCulture), most.ToString(null, CultureInfo.InvariantCulture));
}
