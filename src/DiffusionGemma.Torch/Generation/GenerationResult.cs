namespace DiffusionGemma;

/// <summary>One prompt's answer.</summary>
/// <param name="Ids">New tokens up to the first end token, included; never more than <see cref="GenerationOptions.MaxNewTokens"/>.</param>
/// <param name="Steps">Decoder passes of this row while it was unfinished.</param>
/// <param name="TokensPerForward">New tokens that are not padding, over <paramref name="Steps"/>; 0 where there was no pass.</param>
/// <param name="Finish">The reason for its end.</param>
public sealed record GenerationResult(int[] Ids, int Steps, double TokensPerForward, FinishReason Finish)
{
    /// <summary>Decoder passes over each canvas.</summary>
    public IReadOnlyList<int> StepsPerCanvas { get; init; } = [];

    /// <summary>
    /// Under a grammar of labels, their probabilities in its order by the last pass, given that the answer is one of them; empty otherwise.
    /// By then the answer is settled, and they are near 0 or 1: <see cref="LabelScorer"/> asks before.
    /// </summary>
    public IReadOnlyList<double> LabelScores { get; init; } = [];
}
