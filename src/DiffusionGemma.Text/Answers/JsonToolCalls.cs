using System.Text.Json;
using System.Text.Json.Nodes;

namespace DiffusionGemma;

/// <summary>
/// Reads tool calls that are written as JSON, one or a list of them, alone or in a code fence:
/// <code>
/// {"name": "rain", "arguments": {"city": "Oslo"}}
/// [{"function": {"name": "rain", "parameters": {"city": "Oslo"}}}]
/// </code>
/// </summary>
internal static class JsonToolCalls
{
    private static readonly string[] Prefixes = ["```json", "```", "call:"], ArgumentNames = ["arguments", "parameters", "args"];
    private static readonly JsonDocumentOptions Reading = new() { MaxDepth = 64, AllowTrailingCommas = true };

    /// <summary>The calls; null where the text is no JSON of calls.</summary>
    public static List<AnswerToolCall>? TryRead(string text)
    {
        text = text.Trim();
        foreach (string prefix in Prefixes)
            if (text.StartsWith(prefix, StringComparison.Ordinal)) text = text[prefix.Length..].Trim();
        if (text.EndsWith("```", StringComparison.Ordinal)) text = text[..^3].Trim();
        if (text is not ['{' or '[', ..]) return null;
        try
        {
            using JsonDocument document = JsonDocument.Parse(text, Reading);
            IEnumerable<JsonElement> all = document.RootElement.ValueKind == JsonValueKind.Array
                ? document.RootElement.EnumerateArray() : [document.RootElement];
            AnswerToolCall?[] calls = [.. all.Select(ReadCall)];
            return calls.Length == 0 || calls.Contains(null) ? null : [.. calls.OfType<AnswerToolCall>()];
        }
        catch (Exception exception) when (exception is JsonException or InvalidOperationException or ArgumentException)
        {
            return null;
        }
    }

    private static AnswerToolCall? ReadCall(JsonElement call)
    {
        if (call.ValueKind != JsonValueKind.Object) return null;
        if (call.TryGetProperty("function", out JsonElement function) && function.ValueKind == JsonValueKind.Object) call = function;
        if (!call.TryGetProperty("name", out JsonElement name) || name.ValueKind != JsonValueKind.String || name.ValueEquals(""))
            return null;
        JsonObject arguments = [];
        foreach (string key in ArgumentNames)
        {
            if (!call.TryGetProperty(key, out JsonElement given) || given.ValueKind == JsonValueKind.Null) continue;
            using JsonDocument? inner = given.ValueKind == JsonValueKind.String ? JsonDocument.Parse(given.GetString()!, Reading) : null;
            if (PythonJson.Copy(inner?.RootElement ?? given) is not JsonObject read) return null;
            arguments = read;
            break;
        }
        return new AnswerToolCall(name.GetString()!, JsonSerializer.SerializeToElement(arguments));
    }
}
