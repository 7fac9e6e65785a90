namespace DiffusionGemma;

/// <summary>An answer as text.</summary>
/// <param name="Text">Without special tokens.</param>
/// <param name="Result">Its tokens, and what they took.</param>
public sealed record TextAnswer(string Text, GenerationResult Result)
{
    /// <summary>The text that filled each gap of an infilled response, in order; empty for other answers.</summary>
    public IReadOnlyList<string> Gaps { get; init; } = [];
}
