namespace DiffusionGemma;

/// <summary>
/// Commits positions whose proposal has a probability above a threshold, and the most likely others up to a quota: after step s of S at
/// least ⌈(s + 1) C / S⌉ of C are committed, and at least <paramref name="minimumCommits"/> more than before. A committed token is kept,
/// unless a different one is proposed with a probability above the edit threshold (diffusers' BlockRefinementScheduler under uniform
/// corruption).
/// </summary>
/// <param name="pinned">[C]: positions that are committed from the start, and never edited.</param>
/// <param name="steps">S.</param>
/// <param name="commitThreshold">Probability above which a proposal is committed.</param>
/// <param name="minimumCommits">Fewest commits a step, while any positions are open.</param>
/// <param name="editThreshold">Probability above which another token replaces a committed one; null: never.</param>
internal sealed class BlockRefinementSampler(
    bool[] pinned, int steps, double commitThreshold, int minimumCommits, double? editThreshold) : ICanvasSampler
{
    private readonly bool[] _committed = [.. pinned];
    private bool _edited;

    public bool KeepsSettled => true;

    public bool IsComplete => !_edited && !_committed.Contains(false);

    public bool[] Candidates(ReadOnlySpan<double> entropies, bool[]? accepted = null) =>
        [.. _committed.Select(committed => !committed || editThreshold is not null)];

    public bool[] Settle(int step, int[] tokens, int[] random, Proposals proposals)
    {
        _edited = false;
        int canvasLength = tokens.Length;
        for (int i = 0; i < tokens.Length; i++)
        {
            if (!_committed[i] || pinned[i] || proposals.Tokens[i] == tokens[i] || !(proposals.Probabilities[i] > editThreshold)) continue;
            tokens[i] = proposals.Tokens[i];
            _edited = true;
        }

        int committed = _committed.Count(c => c);
        int quota = Math.Max((int)(((step + 1L) * canvasLength + steps - 1) / steps), committed + minimumCommits);
        int[] open = [.. Enumerable.Range(0, canvasLength).Where(i => !_committed[i]).OrderByDescending(i => proposals.Probabilities[i])];
        foreach (int i in open)
        {
            if (committed < quota || proposals.Probabilities[i] > commitThreshold)
            {
                (tokens[i], _committed[i]) = (proposals.Tokens[i], true);
                committed++;
            }
            else
            {
                tokens[i] = random[i];
            }
        }
        return [.. _committed];
    }

    public int[] Draft(int[] mostLikely, int[] tokens) => [.. mostLikely.Select((token, i) => _committed[i] ? tokens[i] : token)];
}
