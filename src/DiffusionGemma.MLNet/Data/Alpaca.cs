using System.Text.Json;

namespace DiffusionGemma;

/// <summary>
/// Converts Alpaca's rows, <c>{"instruction": "...", "input": "...", "output": "..."}</c>, and those of its kin (Dolly's <c>context</c> and
/// <c>response</c>) to messages.
/// </summary>
/// <remarks>
/// The user message is the instruction and, after a blank line, the input where there is one; the assistant message is the output. A row
/// without an output is a question to be answered. A <c>system</c> text becomes the first message, a <c>history</c> of questions and
/// answers the turns behind it.
/// </remarks>
internal static class Alpaca
{
    public const string InstructionKey = "instruction", HistoryKey = "history";

    /// <summary>Names of the input and of the output: the first of these that has a value counts, of the second on a text.</summary>
    private static readonly string[] InputKeys = ["input", "context"], OutputKeys = ["output", "response", "answer", "completion"];

    /// <summary>Optional keys that hold text.</summary>
    public static readonly string[] OptionalKeys = [InputKeys[0], OutputKeys[0], ChatRow.SystemKey];

    /// <summary>Further names of these, where they hold text.</summary>
    public static readonly string[] OtherNames = [.. InputKeys[1..], .. OutputKeys[1..]];

    /// <param name="row">An object with an instruction.</param>
    /// <param name="used">Keys that the messages were made of.</param>
    public static string ToMessages(JsonElement row, out string[] used)
    {
        string? inputKey = Find(row, InputKeys), outputKey = Find(row, OutputKeys);
        used = [.. new[] { InstructionKey, inputKey, outputKey, ChatRow.SystemKey, HistoryKey }.OfType<string>()];
        string question = ChatRow.Text(row, InstructionKey);
        if (inputKey is not null && ChatRow.Text(row, inputKey) is { Length: > 0 } input)
            question = question.Length > 0 ? $"{question}\n\n{input}" : input;
        List<ConversationMessage> messages = [];
        if (ChatRow.OptionalText(row, ChatRow.SystemKey) is { Length: > 0 } system)
            messages.Add(new("system", system));
        messages.AddRange(ReadHistory(row));
        messages.Add(new("user", question));
        if (outputKey is not null)
            messages.Add(new("assistant", ChatRow.Text(row, outputKey)));
        return ConversationMessage.ToJson(messages);
    }

    private static string? Find(JsonElement row, string[] keys) => keys.FirstOrDefault(key =>
        ChatRow.TryGet(row, key, out JsonElement value) && (key == keys[0] || value.ValueKind == JsonValueKind.String));

    /// <summary>Earlier turns, <c>[["question", "answer"], ...]</c>.</summary>
    private static IEnumerable<ConversationMessage> ReadHistory(JsonElement row)
    {
        if (!ChatRow.TryGet(row, HistoryKey, out JsonElement history)
            || history.ValueKind == JsonValueKind.String && history.ValueEquals("")) return [];
        const string Expected = $"'{HistoryKey}' must be a list of pairs of texts, [[\"question\", \"answer\"], ...]";
        ChatRow.Require(history.ValueKind == JsonValueKind.Array, () => $"{Expected}, it is {ChatRow.Describe(history)}");
        List<ConversationMessage> messages = [];
        foreach (JsonElement turn in history.EnumerateArray())
        {
            ChatRow.Require(turn.ValueKind == JsonValueKind.Array && turn.GetArrayLength() == 2
                && turn.EnumerateArray().All(text => text.ValueKind == JsonValueKind.String), () => Expected);
            messages.Add(new("user", turn[0].GetString()!));
            messages.Add(new("assistant", turn[1].GetString()!));
        }
        return messages;
    }
}
