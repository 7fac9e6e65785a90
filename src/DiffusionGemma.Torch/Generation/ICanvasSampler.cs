namespace DiffusionGemma;

/// <summary>One row's sampler: settles positions of a canvas after every decoder pass. Made anew for every canvas.</summary>
internal interface ICanvasSampler
{
    /// <summary>[C]: positions whose proposal has to be drawn; no other is looked at.</summary>
    /// <param name="entropies">[C], in nats; 0 where a token is pinned.</param>
    bool[] Candidates(ReadOnlySpan<double> entropies);

    /// <summary>Takes what it settles from the proposals.</summary>
    /// <param name="step">Which pass over the canvas, from 0.</param>
    /// <param name="tokens">[C]: what the decoder saw; overwritten with what it is to see next.</param>
    /// <param name="random">[C]: what replaces tokens that are not settled.</param>
    /// <param name="proposals">The candidates' tokens and their probabilities; [C] each.</param>
    /// <returns>[C]: the settled positions.</returns>
    bool[] Settle(int step, int[] tokens, int[] random, Proposals proposals);

    /// <summary>What the canvas would say if it were finished now, from the most likely tokens; after <see cref="Settle"/>.</summary>
    int[] Draft(int[] mostLikely, int[] tokens);

    /// <summary>True where a settled position keeps its token for the steps that follow.</summary>
    bool KeepsSettled { get; }

    /// <summary>Nothing is left to be settled.</summary>
    bool IsComplete { get; }
}
