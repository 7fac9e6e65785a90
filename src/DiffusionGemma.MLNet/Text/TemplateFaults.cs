namespace DiffusionGemma;

/// <summary>Tells a fault of the chat template itself from one of a row.</summary>
internal static class TemplateFaults
{
    private static readonly string[] Probes =
    [
        """[{"role":"user","content":"a"}]""",
        """[{"role":"user","content":"a"},{"role":"assistant","content":"b"}]""",
        """[{"role":"user","content":[{"type":"text","text":"a"}]}]""",
    ];

    /// <summary>The error to throw for a row: with its position, or without one where the template fails on any conversation.</summary>
    public static Exception Describe(ChatException error, ChatTokenizer tokenizer, ChatPosition position) => IsOfTemplate(error, tokenizer)
        ? new ChatException($"{error.Message} It fails on every conversation: correct the checkpoint's chat template.", error)
        {
            TemplateLine = error.TemplateLine,
        }
        : new ChatDataException(error.Message, position, error);

    private static bool IsOfTemplate(ChatException error, ChatTokenizer tokenizer) => IsFailure(error) && Probes.All(probe =>
    {
        try
        {
            tokenizer.Encode(probe);
            return false;
        }
        catch (ChatException fault)
        {
            return IsFailure(fault);
        }
    });

    /// <summary>True where the template failed; false where it refused the row by its own words, or the row is malformed.</summary>
    private static bool IsFailure(ChatException error) => error is { TemplateLine: not null, TemplateWords: null };
}
