using System.Text.Json;

namespace DiffusionGemma;

/// <summary>Converts Alpaca's rows, <c>{"instruction": "...", "input": "...", "output": "..."}</c>, to messages.</summary>
/// <remarks>
/// The user message is the instruction and, after a blank line, the input where there is one; the assistant message is the output. A row
/// without an output is a question to be answered. A <c>system</c> text becomes the first message; a <c>history</c> that is not empty is
/// refused.
/// </remarks>
internal static class Alpaca
{
    public const string InstructionKey = "instruction", InputKey = "input", OutputKey = "output", HistoryKey = "history";

    /// <summary>Optional keys that hold text.</summary>
    public static readonly string[] OptionalKeys = [InputKey, OutputKey, ChatRow.SystemKey];

    public static string ToMessages(JsonElement row)
    {
        ChatRow.Require(!ChatRow.TryGet(row, HistoryKey, out JsonElement history) || history is { ValueKind: JsonValueKind.Array }
            && history.GetArrayLength() == 0,
            () => $"the row has '{HistoryKey}', turns before the instruction: write it with 'messages'");
        string question = ChatRow.Text(row, InstructionKey);
        if (ChatRow.OptionalText(row, InputKey) is { Length: > 0 } input)
            question = $"{question}\n\n{input}";
        List<ConversationMessage> messages = [];
        if (ChatRow.OptionalText(row, ChatRow.SystemKey) is { Length: > 0 } system)
            messages.Add(new("system", system));
        messages.Add(new("user", question));
        if (ChatRow.OptionalText(row, OutputKey) is { } answer)
            messages.Add(new("assistant", answer));
        return ConversationMessage.ToJson(messages);
    }
}
