namespace DiffusionGemma;

/// <summary>Settles positions of one row's canvas after every decoder pass. Every canvas has a sampler of its own.</summary>
internal interface ICanvasSampler
{
    /// <summary>Selects the positions [C] that need a proposal; others are not read.</summary>
    /// <param name="entropies">[C], in nats; 0 where a token is pinned.</param>
    /// <param name="accepted">[C]: what the entropy bound accepts of them, where the device has chosen; null: the sampler chooses.</param>
    bool[] Candidates(ReadOnlySpan<double> entropies, bool[]? accepted = null);

    /// <summary>Settles positions from the proposals.</summary>
    /// <param name="step">Number of the pass over the canvas, from 0.</param>
    /// <param name="tokens">[C]: the decoder's last input; overwritten with its next input.</param>
    /// <param name="random">[C]: replacements of tokens that are not settled.</param>
    /// <param name="proposals">The candidates' tokens and their probabilities; [C] each.</param>
    /// <returns>[C]: the settled positions.</returns>
    bool[] Settle(int step, int[] tokens, int[] random, Proposals proposals);

    /// <summary>Returns the tokens that would be committed now, from the most likely ones; called after <see cref="Settle"/>.</summary>
    int[] Draft(int[] mostLikely, int[] tokens);

    /// <summary>True where a settled position keeps its token for the steps that follow.</summary>
    bool KeepsSettled { get; }

    /// <summary>True where all positions are settled for the rest of the canvas.</summary>
    bool IsComplete { get; }
}
