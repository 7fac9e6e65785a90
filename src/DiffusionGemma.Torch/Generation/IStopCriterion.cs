namespace DiffusionGemma;

/// <summary>Decides after a decoder pass whether a canvas is finished before its steps are used up.</summary>
public interface IStopCriterion
{
    /// <summary>Whether the canvas is finished as it stands. Called once a row and step, in order, on the thread that denoises.</summary>
    bool IsFinished(CanvasState canvas);
}

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

/// <summary>The reference's rule: the draft has stood for a while, and the distributions are sharp.</summary>
/// <param name="StabilityThreshold">Passes for which the draft must have stayed the same.</param>
/// <param name="ConfidenceThreshold">Mean entropy in nats that must be undercut.</param>
public sealed record StableAndConfident(int StabilityThreshold, double ConfidenceThreshold) : IStopCriterion
{
    /// <inheritdoc/>
    public bool IsFinished(CanvasState canvas) => canvas.StableSteps >= StabilityThreshold && canvas.MeanEntropy < ConfidenceThreshold;
}
