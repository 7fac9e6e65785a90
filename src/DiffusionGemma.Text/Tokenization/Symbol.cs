namespace DiffusionGemma;

/// <summary>A token while merging, with the piece of text that it covers.</summary>
internal readonly record struct Symbol(int Id, TextSpan Span)
{
    public static Symbol Gone { get; } = new(-1, default);

    public bool IsGone => Id < 0;

    public Symbol JoinedWith(Symbol right, int id) => new(id, new TextSpan(Span.Start, right.Span.End));

    public Symbol MovedBy(int units) => new(Id, new TextSpan(Span.Start + units, Span.End + units));
}
