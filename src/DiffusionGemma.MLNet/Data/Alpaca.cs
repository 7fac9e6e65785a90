using System.Text.Json;

namespace DiffusionGemma;

/// <summary>
/// Alpaca's rows, <c>{"instruction": "...", "input": "...", "output": "..."}</c>, as messages: the user gives the instruction and, after a blank
/// line, the input where there is one; the assistant gives the output. A row without an output is a question to be answered. A <c>system</c> text goes
/// before; <c>history</c>, the turns before, is refused where it holds any.
/// </summary>
internal static class Alpaca
{
    public const string InstructionKey = "instruction", InputKey = "input", OutputKey = "output", HistoryKey = "history";

    /// <summary>Keys beside the instruction that hold text.</summary>
    public static readonly string[] OptionalKeys = [InputKey, OutputKey, ChatRow.SystemKey];

    public static string ToMessages(JsonElement row)
    {
        ChatRow.Require(!ChatRow.TryGet(row, HistoryKey, out JsonElement history) || history is { ValueKind: JsonValueKind.Array } && history.GetArrayLength() == 0,
            () => $"the row has '{HistoryKey}', turns before the instruction: write it with 'messages'");
        string question = ChatRow.Text(row, InstructionKey);
        if (ChatRow.OptionalText(row, InputKey) is { Length: > 0 } input)
            question = $"{question}\n\n{input}";
        List<ChatMessage> messages = [];
        if (ChatRow.OptionalText(row, ChatRow.SystemKey) is { Length: > 0 } system)
            messages.Add(new("system", system));
        messages.Add(new("user", question));
        if (ChatRow.OptionalText(row, OutputKey) is { } answer)
            messages.Add(new("assistant", answer));
        return ChatMessage.ToJson(messages);
    }
}
