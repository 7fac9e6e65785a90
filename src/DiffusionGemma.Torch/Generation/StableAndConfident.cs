namespace DiffusionGemma;

/// <summary>Finishes a canvas whose draft has been stable for some steps and whose distributions are sharp: the reference's rule.</summary>
/// <param name="StabilityThreshold">Passes for which the draft must have stayed the same.</param>
/// <param name="ConfidenceThreshold">Mean entropy in nats that must be undercut.</param>
public sealed record StableAndConfident(int StabilityThreshold, double ConfidenceThreshold) : IStopCriterion
{
    /// <inheritdoc/>
    public bool IsFinished(CanvasState canvas) => canvas.StableSteps >= StabilityThreshold && canvas.MeanEntropy < ConfidenceThreshold;
}
