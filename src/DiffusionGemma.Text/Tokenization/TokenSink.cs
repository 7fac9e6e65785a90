namespace DiffusionGemma.Text.Tokenization;

/// <summary>Where encoding writes: ids, and the UTF-16 span of each where the caller wants spans.</summary>
internal sealed class TokenSink(bool withSpans)
{
    public List<int> Ids { get; } = [];

    public List<TextSpan>? Spans { get; } = withSpans ? [] : null;

    public void Add(int id, TextSpan span)
    {
        Ids.Add(id);
        Spans?.Add(span);
    }
}
