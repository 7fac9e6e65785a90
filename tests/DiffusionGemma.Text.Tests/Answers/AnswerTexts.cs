using System.Text.Json;

namespace DiffusionGemma;

/// <summary>Answers as ids of tiny-chat's tokenizer, which has all of Gemma's control tokens, and their parts as text.</summary>
internal static class AnswerTexts
{
    public static DiffusionGemmaTokenizer Tokenizer { get; } = DiffusionGemmaTokenizer.Load(Fixtures.Checkpoint("tiny-chat"));

    /// <summary>Ids; control tokens in the text become their tokens.</summary>
    public static int[] Ids(string text) => [.. Tokenizer.EncodeToIds(text)];

    /// <summary>Ids of the single characters: a control token is spelled out.</summary>
    public static int[] Spelled(string text) => [.. text.EnumerateRunes().SelectMany(rune => Tokenizer.EncodeToIds(rune.ToString()))];

    /// <summary>Parts in one line each; neighbours of one kind are one.</summary>
    public static string Describe(IEnumerable<AnswerPart> parts)
    {
        List<(string Kind, string Text)> lines = [];
        foreach (AnswerPart part in parts)
        {
            (string kind, string text) = part switch
            {
                AnswerText said => ("text", said.Text),
                AnswerReasoning thought => ("thought", thought.Text),
                AnswerToolCall call => ("call", $"{call.Name} {JsonSerializer.Serialize(call.Arguments)}"),
                MalformedToolCall error => ("error", $"{error.Reason}|{error.Text}"),
                _ => (part.GetType().Name, ""),
            };
            if (kind is "text" or "thought" && lines is [.., var last] && last.Kind == kind) lines[^1] = (kind, last.Text + text);
            else lines.Add((kind, text));
        }
        return string.Join("\n", lines.Select(line => $"{line.Kind}: {line.Text.Replace("\n", "\\n", StringComparison.Ordinal)}"));
    }
}
