namespace DiffusionGemma;

/// <summary>A denoising step: what the canvas would say if it were finished now.</summary>
/// <param name="Canvas">Which canvas, from 0.</param>
/// <param name="Step">Which pass over it, from 0.</param>
/// <param name="Draft">[C]: the most likely tokens so far.</param>
/// <param name="Settled">[C]: positions that the sampler accepted in this step, or has committed.</param>
/// <param name="MeanEntropy">Of the distributions of the canvas' free positions, in nats.</param>
public sealed record DraftUpdate(int Canvas, int Step, int[] Draft, bool[] Settled, double MeanEntropy) : GenerationUpdate;
