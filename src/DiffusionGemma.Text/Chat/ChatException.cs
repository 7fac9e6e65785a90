namespace DiffusionGemma;

/// <summary>
/// A conversation that cannot be used: a malformed row, one that the chat template refuses, or a template that fails or cannot be read.
/// </summary>
public sealed class ChatException : FormatException
{
    /// <summary>A reason in words that a person can act on.</summary>
    public ChatException(string message)
        : base(message)
    {
    }

    /// <summary>A reason, and what brought it about.</summary>
    public ChatException(string message, Exception? innerException)
        : base(message, innerException)
    {
    }

    /// <summary>The template's own message when it refused the conversation (<c>raise_exception</c>); null for other failures.</summary>
    public string? TemplateWords { get; init; }

    /// <summary>The line of the chat template, from 1, where it failed; null for a malformed row.</summary>
    public int? TemplateLine { get; init; }

    /// <summary>The index, from 0, of the message at fault; null where no single message is.</summary>
    public int? MessageIndex { get; init; }

    /// <summary>The path of the value at fault in the row, such as <c>messages[1].content</c>; null where no single value is.</summary>
    public string? Key { get; init; }

    /// <summary>
    /// True if the template is at fault and not the row: it cannot be read, or fails in the same way on a plain question and answer.
    /// </summary>
    public bool IsTemplateFault { get; init; }
}
