namespace DiffusionGemma;

/// <summary>Output of encoding: ids, and the UTF-16 span of each where the caller wants spans.</summary>
internal sealed class TokenSink(bool withSpans)
{
    public List<int> Ids { get; } = [];

    public List<TextSpan>? Spans { get; } = withSpans ? [] : null;

    public void Add(int id, TextSpan span)
    {
        Ids.Add(id);
        Spans?.Add(span);
    }

    /// <param name="tokens">Tokens of one piece.</param>
    /// <param name="movedBy">Where their spans are counted from.</param>
    public void Add(ReadOnlySpan<Symbol> tokens, int movedBy)
    {
        foreach (Symbol token in tokens)
            Ids.Add(token.Id);
        if (Spans is null)
            return;
        foreach (Symbol token in tokens)
            Spans.Add(token.MovedBy(movedBy).Span);
    }
}
