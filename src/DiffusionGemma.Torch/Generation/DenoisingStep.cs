namespace DiffusionGemma;

/// <summary>One row after one decoder pass.</summary>
/// <param name="Row">Which prompt, as given.</param>
/// <param name="Canvas">Which canvas of its answer, from 0.</param>
/// <param name="Step">Which pass over it, from 0.</param>
/// <param name="Draft">[C]: the most likely tokens so far; what is appended when the canvas is finished.</param>
/// <param name="Settled">[C]: positions whose proposed token the sampler accepted in this step, or has committed.</param>
/// <param name="MeanEntropy">Of the distributions of the canvas' free positions, in nats.</param>
/// <param name="Finished">The row is done with this canvas; its draft no longer changes.</param>
public sealed record DenoisingStep(
    int Row, int Canvas, int Step, IReadOnlyList<int> Draft, IReadOnlyList<bool> Settled, double MeanEntropy, bool Finished);
