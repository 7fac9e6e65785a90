namespace DiffusionGemma;

/// <summary>
/// Distributions of one row's canvas positions after a decoder pass: all that denoising reads of them. The model's own come from
/// <see cref="CanvasHead"/>; distributions under a grammar take their place row by row.
/// </summary>
internal interface IRowDistribution
{
    /// <summary>False where a logit is not a finite number.</summary>
    bool IsFinite { get; }

    /// <summary>[C]: the most likely tokens.</summary>
    int[] Best { get; }

    /// <summary>[C]: entropies, in nats.</summary>
    double[] Entropies { get; }

    /// <summary>[C]: the positions that the row's entropy bound accepts, where the device has chosen them; null: it has not.</summary>
    bool[]? Accepted => null;

    /// <summary>Proposes the most likely tokens.</summary>
    Proposals ProposeBest();

    /// <summary>Samples a token for each candidate position.</summary>
    /// <param name="candidates">[C]; other positions get token 0 and probability 0.</param>
    /// <param name="uniforms">[C], in [0,1).</param>
    /// <param name="topK">The number of most likely tokens to sample from; 0: all.</param>
    /// <param name="topP">The probability that the fewest most likely tokens must add up to; 1: all.</param>
    Proposals Sample(bool[] candidates, double[] uniforms, int topK, double topP);

    /// <summary>
    /// The probability of each label of the row's grammar, given that the canvas ends with one of them; empty without such a grammar.
    /// </summary>
    /// <param name="labels">Their number.</param>
    double[] LabelScores(int labels);
}
