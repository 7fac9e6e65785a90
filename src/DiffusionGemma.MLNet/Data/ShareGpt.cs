using System.Text.Json;

namespace DiffusionGemma;

/// <summary>Converts ShareGPT's turns, <c>{"from": "human", "value": "..."}</c>, to messages, after the row's <c>system</c> text.</summary>
/// <remarks>Other keys of a turn are kept.</remarks>
internal static class ShareGpt
{
    public static string ToMessages(JsonElement conversations, string? system)
    {
        ChatRow.Require(conversations.ValueKind == JsonValueKind.Array,
            () => $"'conversations' must be a list, it is {ChatRow.Describe(conversations)}");
        ChatRow.Require(conversations.GetArrayLength() > 0, () => "the list 'conversations' is empty");
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
        writer.WriteString("role", Role(Text(turn, "from", index), index));
        writer.WriteString("content", Text(turn, "value", index));
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

    private static string Role(string from, int index) => from switch
    {
        "human" or "user" => "user",
        "gpt" or "assistant" or "model" => "assistant",
        "system" or "tool" => from,
        _ => throw new InvalidRowException($"turn {index} is from '{from}'; known are human, user, gpt, assistant, model, system and tool"),
    };
}
