using System.Text.Json;

namespace DiffusionGemma;

/// <summary>Converts ShareGPT's turns, <c>{"from": "human", "value": "..."}</c>, to messages, after the row's <c>system</c> text.</summary>
/// <remarks>
/// Other keys of a turn are kept. A turn from <c>function_call</c>, whose value is the JSON text of one or several calls, becomes the
/// assistant's tool calls; one from <c>observation</c> the tool's result.
/// </remarks>
internal static class ShareGpt
{
    private static readonly string[] Users = ["human", "user"];
    private static readonly string[] Assistants = ["gpt", "assistant", "model", "chatgpt", "bing", "bard", "bot", "ai"];
    private static readonly string[] Tools = ["tool", "observation", "function_response"];
    private const string CallRole = "function_call";

    /// <summary>True for a list of turns, by its first one.</summary>
    public static bool IsTurns(JsonElement list) => list.ValueKind == JsonValueKind.Array && list.GetArrayLength() > 0
        && list[0] is { ValueKind: JsonValueKind.Object } first && !first.TryGetProperty("role", out _)
        && (first.TryGetProperty("from", out _) || first.TryGetProperty("value", out _));

    public static string ToMessages(JsonElement conversations, string? system)
    {
        return ChatRow.Write(writer =>
        {
            writer.WriteStartArray();
            if (!string.IsNullOrEmpty(system))
                new ConversationMessage("system", system).WriteTo(writer);
            int index = 0;
            foreach (JsonElement turn in conversations.EnumerateArray())
                WriteTurn(writer, turn, index++);
            writer.WriteEndArray();
        });
    }

    private static void WriteTurn(Utf8JsonWriter writer, JsonElement turn, int index)
    {
        ChatRow.Require(turn.ValueKind == JsonValueKind.Object,
            () => $"turn {index} must be an object with 'from' and 'value', it is {ChatRow.Describe(turn)}");
        writer.WriteStartObject();
        string from = Text(turn, "from", index), value = Text(turn, "value", index);
        if (from.Equals(CallRole, StringComparison.OrdinalIgnoreCase))
        {
            writer.WriteString("role", "assistant");
            writer.WriteString("content", "");
            WriteCalls(writer, value, index);
        }
        else
        {
            writer.WriteString("role", Role(from, index));
            writer.WriteString("content", value);
        }
        foreach (JsonProperty other in ChatRow.Properties(turn))
            if (!other.NameEquals("from") && !other.NameEquals("value") && other.Value.ValueKind != JsonValueKind.Null)
                other.WriteTo(writer);
        writer.WriteEndObject();
    }

    private static string Text(JsonElement turn, string key, int index)
    {
        ChatRow.Require(ChatRow.TryGet(turn, key, out JsonElement value), () => $"turn {index} has no '{key}'");
        ChatRow.Require(value.ValueKind == JsonValueKind.String,
            () => $"'{key}' of turn {index} must be text, it is {ChatRow.Describe(value)}");
        return value.GetString()!;
    }

    private static string Role(string from, int index)
    {
        bool IsOf(string[] names) => names.Contains(from, StringComparer.OrdinalIgnoreCase);
        return IsOf(Users) ? "user" : IsOf(Assistants) ? "assistant" : IsOf(Tools) ? "tool"
            : IsOf(["system", "developer"]) ? from.ToLowerInvariant()
            : throw new InvalidRowException($"turn {index} is from '{from}'; known are "
                + string.Join(", ", [.. Users, .. Assistants, "system", "developer", .. Tools, CallRole]));
    }

    private static void WriteCalls(Utf8JsonWriter writer, string value, int index)
    {
        try
        {
            using var calls = JsonDocument.Parse(value, ChatRow.Reading);
            IEnumerable<JsonElement> all = calls.RootElement.ValueKind == JsonValueKind.Array
                ? calls.RootElement.EnumerateArray() : [calls.RootElement];
            writer.WriteStartArray("tool_calls");
            foreach (JsonElement call in all)
            {
                ChatRow.Require(call.ValueKind == JsonValueKind.Object,
                    () => $"turn {index} is a {CallRole} of {ChatRow.Describe(call)}, where an object with name and arguments is expected");
                writer.WriteStartObject();
                writer.WriteString("type", "function");
                writer.WritePropertyName("function");
                call.WriteTo(writer);
                writer.WriteEndObject();
            }
            writer.WriteEndArray();
        }
        catch (JsonException error)
        {
            throw new InvalidRowException($"turn {index} is a {CallRole} whose value is not JSON: {error.Message}", error);
        }
    }
}
