using System.Globalization;
using System.Text.Encodings.Web;
using System.Text.Json;

namespace DiffusionGemma;

/// <summary>Values of a JSON answer by their names: objects are taken apart, arrays are one value, null is none.</summary>
internal static class AnswerFields
{
    private static readonly JsonSerializerOptions Relaxed = new() { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping };

    /// <summary>The fields of an answer in the order of the text; null where it is no JSON object.</summary>
    public static IReadOnlyDictionary<string, string>? Read(string json)
    {
        try
        {
            using JsonDocument document = JsonDocument.Parse(json, new JsonDocumentOptions { MaxDepth = 256 });
            if (document.RootElement.ValueKind != JsonValueKind.Object) return null;
            var fields = new Dictionary<string, string>();
            Visit(document.RootElement, "", fields);
            return fields;
        }
        catch (Exception e) when (e is JsonException or InvalidOperationException or ArgumentException)       // half a surrogate pair
        {
            return null;
        }
    }

    /// <summary>Fields as one text: equal for equal fields, whatever their order.</summary>
    public static string Key(IReadOnlyDictionary<string, string> fields) =>
        string.Join('\n', fields.OrderBy(field => field.Key, StringComparer.Ordinal).Select(field => $"{field.Key}={field.Value}"));

    private static void Visit(JsonElement element, string name, Dictionary<string, string> fields)
    {
        foreach (JsonProperty property in element.EnumerateObject())
        {
            string path = name.Length == 0 ? property.Name : $"{name}.{property.Name}";
            if (property.Value.ValueKind == JsonValueKind.Object) Visit(property.Value, path, fields);
            else if (property.Value.ValueKind != JsonValueKind.Null) fields[path] = Text(property.Value);
        }
    }

    /// <summary>A value as text: numbers by their value, so that 1.0 is 1.</summary>
    private static string Text(JsonElement value) => value.ValueKind switch
    {
        JsonValueKind.Number => value.TryGetDecimal(out decimal exact)
            ? (exact / 1.000000000000000000000000000m).ToString(CultureInfo.InvariantCulture) : value.GetRawText(),
        JsonValueKind.Array => $"[{string.Join(',', value.EnumerateArray().Select(Text))}]",
        JsonValueKind.Object => $"{{{string.Join(',', value.EnumerateObject().OrderBy(one => one.Name, StringComparer.Ordinal)
            .Select(one => $"{JsonSerializer.Serialize(one.Name, Relaxed)}:{Text(one.Value)}"))}}}",
        JsonValueKind.String => JsonSerializer.Serialize(value.GetString(), Relaxed),
        _ => value.GetRawText(),
    };
}
