namespace DiffusionGemma;

/// <summary>State of one row after a decoder pass.</summary>
/// <param name="Row">Index of the prompt in the call.</param>
/// <param name="Canvas">Number of the canvas in its answer, from 0.</param>
/// <param name="Step">Number of the pass over the canvas, from 0.</param>
/// <param name="Draft">[C]: the tokens that would be committed if the canvas were finished now.</param>
/// <param name="Settled">[C]: positions whose proposed token the sampler accepted in this step, or has committed.</param>
/// <param name="MeanEntropy">Mean entropy of the distributions of positions that are not pinned, in nats.</param>
/// <param name="Finished">True where the canvas is finished: its draft no longer changes.</param>
public sealed record DenoisingStep(
    int Row, int Canvas, int Step, IReadOnlyList<int> Draft, IReadOnlyList<bool> Settled, double MeanEntropy, bool Finished)
{
    /// <summary>[C]: entropy of each position's distribution, in nats; 0 at pinned positions.</summary>
    public IReadOnlyList<double> Entropies { get; init; } = [];
}
