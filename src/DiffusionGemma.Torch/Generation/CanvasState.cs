namespace DiffusionGemma;

/// <summary>A canvas after one decoder pass.</summary>
/// <param name="Prompt">The row's prompt.</param>
/// <param name="Canvas">Which canvas, from 0.</param>
/// <param name="Step">Which pass over it, from 0.</param>
/// <param name="Draft">[C]: the most likely tokens so far.</param>
/// <param name="Entropies">[C]: of each position's distribution, in nats.</param>
/// <param name="MeanEntropy">Over the positions that are not pinned.</param>
/// <param name="StableSteps">For how many passes before this one the draft has been what it is now.</param>
public readonly record struct CanvasState(
    IReadOnlyList<int> Prompt, int Canvas, int Step, IReadOnlyList<int> Draft, IReadOnlyList<double> Entropies, double MeanEntropy, int StableSteps);
