namespace DiffusionGemma;

/// <summary>Options of turning conversations into ids.</summary>
public sealed record ChatTokenizerOptions
{
    /// <summary>
    /// Whether the text of a special token that the row brings (in messages, tools, template arguments) is encoded as ordinary text, so
    /// that no content can end a turn or open another. What the template itself writes stays special tokens. False by default: as in
    /// transformers, such text becomes the control token.
    /// </summary>
    /// <remarks>
    /// The text stays the same to the letter; only its ids differ. A row is refused where that cannot be: where the template
    /// itself looks into the content for special tokens, as one does that takes old thoughts out of the answers.
    /// </remarks>
    public bool EscapeSpecialTokens { get; init; }
}
