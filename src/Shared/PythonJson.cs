using System.Text.Json;
using System.Text.Json.Nodes;

namespace DiffusionGemma;

/// <summary>
/// Reads JSON that Python's json reads too: of equal keys the last counts. <see cref="JsonNode.Parse(string, JsonNodeOptions?,
/// JsonDocumentOptions)"/> takes such a text, and throws an ArgumentException when the object is first looked into.
/// </summary>
internal static class PythonJson
{
    /// <summary>Reads one object.</summary>
    /// <exception cref="JsonException">The text is no JSON object, or holds a text that is not Unicode.</exception>
    public static JsonObject ReadObject(string text)
    {
        try
        {
            using JsonDocument document = JsonDocument.Parse(text);
            return Copy(document.RootElement) as JsonObject ?? throw new JsonException("it is not an object");
        }
        catch (Exception e) when (e is InvalidOperationException or ArgumentException)          // half a surrogate pair
        {
            throw new JsonException(e.Message, e);
        }
    }

    /// <summary>Copies a value; of equal names the last counts.</summary>
    /// <exception cref="InvalidOperationException">It holds a text that is not Unicode.</exception>
    public static JsonNode? Copy(JsonElement element)
    {
        switch (element.ValueKind)
        {
            case JsonValueKind.Object:
                JsonObject entries = [];
                foreach (JsonProperty entry in element.EnumerateObject()) entries[entry.Name] = Copy(entry.Value);
                return entries;
            case JsonValueKind.Array:
                return new JsonArray([.. element.EnumerateArray().Select(Copy)]);
            case JsonValueKind.String:
                return JsonValue.Create(element.GetString());
            case JsonValueKind.Null:
                return null;
            default:
                return JsonValue.Create(element.Clone());
        }
    }
}
