using System.Text.Json;

namespace DiffusionGemma;

/// <summary>
/// Joins TRL's rows, <c>{"prompt": [messages], "completion": [messages]}</c>, to one list of messages.
/// </summary>
internal static class PromptCompletion
{
    public const string PromptKey = "prompt", CompletionKey = "completion";

    /// <summary>True for a row with both as lists; texts are a question and its answer, which the options name.</summary>
    public static bool Is(JsonElement row) => new[] { PromptKey, CompletionKey }.All(key =>
        ChatRow.TryGet(row, key, out JsonElement messages) && messages.ValueKind == JsonValueKind.Array);

    public static string ToMessages(JsonElement row) => ChatRow.Write(writer =>
    {
        writer.WriteStartArray();
        foreach (string key in new[] { PromptKey, CompletionKey })
            foreach (JsonElement message in row.GetProperty(key).EnumerateArray())
                message.WriteTo(writer);
        writer.WriteEndArray();
    });
}
