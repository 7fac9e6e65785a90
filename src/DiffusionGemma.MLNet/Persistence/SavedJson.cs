using System.Text.Json;

namespace DiffusionGemma;

/// <summary>Reads settings that a saved model keeps as JSON.</summary>
internal static class SavedJson
{
    private static readonly JsonSerializerOptions Strict = new()
    {
        RespectNullableAnnotations = true, RespectRequiredConstructorParameters = true,
    };

    /// <summary>Reads one object; with its options null, every member must be there.</summary>
    /// <exception cref="FormatException">It is damaged.</exception>
    public static T Read<T>(string json, JsonSerializerOptions? options = null)
    {
        try
        {
            return JsonSerializer.Deserialize<T>(json, options ?? Strict) ?? throw new JsonException("they are null");
        }
        // An ArgumentException: half a surrogate pair; a NotSupportedException: a type that JSON names and that is not read.
        catch (Exception e) when (e is JsonException or ArgumentException or InvalidOperationException or NotSupportedException)
        {
            throw new FormatException($"The saved model is damaged: its settings cannot be read ({e.Message.TrimEnd('.')}).", e);
        }
    }
}
