namespace DiffusionGemma;

/// <summary>A conversation as the chat template writes it.</summary>
/// <param name="Text">The whole text.</param>
/// <param name="GeneratedSpans">
/// Spans that the template's <c>{% generation %}</c> blocks wrote, in order; empty when the template has none.
/// </param>
public sealed record RenderedChat(string Text, IReadOnlyList<TextSpan> GeneratedSpans);
