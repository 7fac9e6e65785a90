namespace DiffusionGemma;

/// <summary>
/// Accepts the k positions of lowest entropy with entropy_1 + ... + entropy_k - entropy_k ≤ bound (transformers' EntropyBoundSampler): the
/// joint uncertainty of the positions that settle at once is bounded, and the first position beyond the bound is accepted too. Every step
/// decides anew.
/// </summary>
internal sealed class EntropyBoundSampler(double bound) : ICanvasSampler
{
    private bool[] _accepted = [];

    public bool IsComplete => false;

    public bool KeepsSettled => false;

    public bool[] Candidates(ReadOnlySpan<double> entropies)
    {
        double[] sorted = entropies.ToArray();
        int[] order = [.. Enumerable.Range(0, sorted.Length)];
        Array.Sort(sorted, order);
        _accepted = new bool[sorted.Length];
        double before = 0;
        for (int k = 0; k < sorted.Length && before <= bound; before += sorted[k++]) _accepted[order[k]] = true;
        return _accepted;
    }

    public bool[] Settle(int step, int[] tokens, int[] random, Proposals proposals)
    {
        for (int i = 0; i < tokens.Length; i++) tokens[i] = _accepted[i] ? proposals.Tokens[i] : random[i];
        return _accepted;
    }

    public int[] Draft(int[] mostLikely, int[] tokens) => mostLikely;
}
