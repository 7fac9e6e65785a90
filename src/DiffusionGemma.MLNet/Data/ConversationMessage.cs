using System.Text.Json;

namespace DiffusionGemma;

/// <summary>One message of a conversation in memory.</summary>
/// <param name="Role">Who speaks: <c>system</c>, <c>user</c> or <c>assistant</c>, or another role that the checkpoint's chat template
/// knows.</param>
/// <param name="Content">What is said.</param>
public sealed record ConversationMessage(string Role, string Content)
{
    internal static string ToJson(IEnumerable<ConversationMessage> messages) => ChatRow.Write(writer =>
    {
        writer.WriteStartArray();
        foreach (ConversationMessage message in messages)
            message.WriteTo(writer);
        writer.WriteEndArray();
    });

    internal void WriteTo(Utf8JsonWriter writer)
    {
        // A JSON writer puts replacement characters in the place of half a surrogate pair; this throws.
        _ = StrictUtf8.Instance.GetByteCount(Role ?? "") + StrictUtf8.Instance.GetByteCount(Content ?? "");
        writer.WriteStartObject();
        writer.WriteString("role", Role);
        writer.WriteString("content", Content);
        writer.WriteEndObject();
    }
}
