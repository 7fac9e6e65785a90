namespace DiffusionGemma;

/// <summary>A denoising step, with the draft of its canvas.</summary>
/// <param name="Canvas">Number of the canvas, from 0.</param>
/// <param name="Step">Number of the pass over the canvas, from 0.</param>
/// <param name="Draft">[C]: the most likely tokens so far.</param>
/// <param name="Settled">[C]: positions that the sampler accepted in this step, or has committed.</param>
/// <param name="MeanEntropy">Mean entropy of the distributions of positions that are not pinned, in nats.</param>
public sealed record DraftUpdate(int Canvas, int Step, int[] Draft, bool[] Settled, double MeanEntropy) : GenerationUpdate
{
    /// <summary>[C]: entropy of each position's distribution, in nats; 0 at pinned positions.</summary>
    public IReadOnlyList<double> Entropies { get; init; } = [];
}
