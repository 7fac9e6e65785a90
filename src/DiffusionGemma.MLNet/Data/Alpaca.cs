using System.Text.Json;

namespace DiffusionGemma;

/// <summary>
/// Alpaca's rows, <c>{"instruction": "...", "input": "...", "output": "..."}</c>, as messages: the user gives the instruction and, after a blank
/// line, the input where there is one; the assistant gives the output. A row without an output is a question to be answered.
/// </summary>
internal static class Alpaca
{
    public const string InstructionKey = "instruction", InputKey = "input", OutputKey = "output";

    public static string ToMessages(JsonElement row)
    {
        string question = ChatRow.Text(row, InstructionKey);
        if (OptionalText(row, InputKey) is { Length: > 0 } input)
            question = $"{question}\n\n{input}";
        ChatMessage[] messages = OptionalText(row, OutputKey) is { } answer ? [new("user", question), new("assistant", answer)] : [new("user", question)];
        return ChatMessage.ToJson(messages);
    }

    private static string? OptionalText(JsonElement row, string key) => ChatRow.TryGet(row, key, out _) ? ChatRow.Text(row, key) : null;
}
