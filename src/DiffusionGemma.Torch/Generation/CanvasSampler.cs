namespace DiffusionGemma;

/// <summary>Methods of settling positions of a canvas.</summary>
public enum CanvasSampler
{
    /// <summary>
    /// Accepts positions of lowest entropy, up to a bound on their joint entropy, and redraws the rest (transformers' EntropyBoundSampler).
    /// </summary>
    EntropyBound,

    /// <summary>
    /// Commits positions whose proposal is likely enough, and enough of the others that all are committed after the last step; committed
    /// tokens may be edited (diffusers' BlockRefinementScheduler under uniform corruption).
    /// </summary>
    BlockRefinement,
}
