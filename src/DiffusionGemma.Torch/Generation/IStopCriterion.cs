namespace DiffusionGemma;

/// <summary>Decides after a decoder pass whether a canvas is finished before its steps are used up.</summary>
public interface IStopCriterion
{
    /// <summary>Whether the canvas is finished as it stands. Called once a row and step, in order, on the thread that denoises.</summary>
    bool IsFinished(CanvasState canvas);
}
