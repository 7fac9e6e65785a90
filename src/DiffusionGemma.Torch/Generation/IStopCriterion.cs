namespace DiffusionGemma;

/// <summary>Decides after a decoder pass whether a canvas is finished before its steps are used up.</summary>
public interface IStopCriterion
{
    /// <summary>
    /// Returns true to finish the canvas with its present draft. Called once for every row and step, in order, on the denoising thread.
    /// </summary>
    bool IsFinished(CanvasState canvas);
}
