using static TorchSharp.torch;

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

    public bool[] Candidates(ReadOnlySpan<double> entropies, bool[]? accepted = null) => _accepted = accepted ?? Choose(entropies);

    /// <summary>The same choice for several rows on their device; among equal entropies the first positions come first.</summary>
    /// <param name="entropies">[n,C] float64, in nats; 0 where a token is pinned.</param>
    /// <param name="bounds">[n,1] float64.</param>
    /// <returns>[n,C] bool.</returns>
    public static Tensor Choose(Tensor entropies, Tensor bounds)
    {
        using var scope = NewDisposeScope();
        (Tensor sorted, Tensor order) = entropies.sort(-1, descending: false, stable: true);
        // The sum of the entropies before each position, added up as on the host; the whole sum less its own would be rounded otherwise.
        Tensor before = cat([zeros_like(bounds), sorted.cumsum(-1).narrow(-1, 0, sorted.shape[1] - 1)], -1);
        return zeros_like(order, ScalarType.Bool).scatter(-1, order, before <= bounds).MoveToOuterDisposeScope();
    }

    private bool[] Choose(ReadOnlySpan<double> entropies)
    {
        double[] sorted = entropies.ToArray();
        int[] order = [.. Enumerable.Range(0, sorted.Length)];
        Array.Sort(sorted, order);
        bool[] accepted = new bool[sorted.Length];
        double before = 0;
        for (int k = 0; k < sorted.Length && before <= bound; before += sorted[k++]) accepted[order[k]] = true;
        return accepted;
    }

    public bool[] Settle(int step, int[] tokens, int[] random, Proposals proposals)
    {
        for (int i = 0; i < tokens.Length; i++) tokens[i] = _accepted[i] ? proposals.Tokens[i] : random[i];
        return _accepted;
    }

    public int[] Draft(int[] mostLikely, int[] tokens) => mostLikely;
}
