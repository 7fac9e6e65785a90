using System.Text.Json;

namespace DiffusionGemma;

/// <summary>Reads members of a request, and says which one is wrong.</summary>
internal static class JsonReading
{
    /// <summary>The member; null where it is missing or null.</summary>
    public static JsonElement? Find(this JsonElement owner, string name) =>
        owner.TryGetProperty(name, out JsonElement value) && value.ValueKind != JsonValueKind.Null ? value : null;

    /// <summary>True for this text; false for other texts, and for what is none.</summary>
    public static bool IsText(this JsonElement value, string text) => value.ValueKind == JsonValueKind.String && value.ValueEquals(text);

    public static string RequireText(this JsonElement value, string path) =>
        value.ValueKind == JsonValueKind.String ? value.GetString()! : throw Wrong(path, "a text", value);

    public static bool RequireBoolean(this JsonElement value, string path) =>
        value.ValueKind is JsonValueKind.True or JsonValueKind.False ? value.GetBoolean() : throw Wrong(path, "true or false", value);

    public static JsonElement RequireObject(this JsonElement value, string path) =>
        value.ValueKind == JsonValueKind.Object ? value : throw Wrong(path, "an object", value);

    public static JsonElement RequireArray(this JsonElement value, string path) =>
        value.ValueKind == JsonValueKind.Array ? value : throw Wrong(path, "an array", value);

    public static int RequireInteger(this JsonElement value, string path, int min, int max) =>
        value.ValueKind == JsonValueKind.Number && value.TryGetInt32(out int number) && number >= min && number <= max
            ? number : throw Wrong(path, $"a whole number from {min} to {max}", value);

    public static double RequireNumber(this JsonElement value, string path, double min, double max) =>
        value.ValueKind == JsonValueKind.Number && value.GetDouble() is var number && number >= min && number <= max
            ? number : throw Wrong(path, $"a number from {min} to {max}", value);

    /// <summary>Finds out whether all texts can be read: half a surrogate pair ("\ud83d") is well-formed JSON, but no text.</summary>
    public static bool IsUnicode(this JsonElement value)
    {
        try
        {
            switch (value.ValueKind)
            {
                case JsonValueKind.String:
                    return value.GetString() is not null;
                case JsonValueKind.Array:
                    return value.EnumerateArray().All(IsUnicode);
                case JsonValueKind.Object:
                    return value.EnumerateObject().All(member => member.Name is not null && IsUnicode(member.Value));
                default:
                    return true;
            }
        }
        catch (InvalidOperationException)
        {
            return false;
        }
    }

    /// <summary>Refuses members that are not among the known ones, with the nearest of them.</summary>
    public static void RequireKnown(this JsonElement owner, string path, params ReadOnlySpan<string> known)
    {
        foreach (JsonProperty member in owner.EnumerateObject())
        {
            if (known.Contains(member.Name)) continue;
            string full = path.Length == 0 ? member.Name : $"{path}.{member.Name}";
            throw OpenAIError.BadRequest(full, $"'{full}' is not supported.");
        }
    }

    private static OpenAIError Wrong(string path, string expected, JsonElement value) =>
        OpenAIError.BadRequest(path, $"'{path}' is {Describe(value)}; it is {expected}.");

    private static string Describe(JsonElement value) => value.ValueKind switch
    {
        JsonValueKind.Object => "an object",
        JsonValueKind.Array => "an array",
        JsonValueKind.String => "a text",
        JsonValueKind.Number => value.GetRawText() is { Length: <= 20 } number ? number : "a number",
        _ => value.GetRawText(),
    };
}
