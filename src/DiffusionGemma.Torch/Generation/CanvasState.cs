namespace DiffusionGemma;

/// <summary>State of a canvas after a decoder pass.</summary>
/// <param name="Prompt">The row's prompt.</param>
/// <param name="Canvas">Number of the canvas, from 0.</param>
/// <param name="Step">Number of the pass over the canvas, from 0.</param>
/// <param name="Draft">[C]: the most likely tokens so far.</param>
/// <param name="Entropies">[C]: entropy of each position's distribution, in nats.</param>
/// <param name="MeanEntropy">Mean over the positions that are not pinned, in nats.</param>
/// <param name="StableSteps">Passes before this one with the same draft.</param>
public readonly record struct CanvasState(
    IReadOnlyList<int> Prompt, int Canvas, int Step, IReadOnlyList<int> Draft, IReadOnlyList<double> Entropies, double MeanEntropy,
    int StableSteps);
