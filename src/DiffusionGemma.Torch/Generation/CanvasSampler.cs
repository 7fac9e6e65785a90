namespace DiffusionGemma;

/// <summary>Which way positions of a canvas are settled.</summary>
public enum CanvasSampler
{
    /// <summary>The positions of lowest entropy, up to a bound on their joint entropy; the rest is redrawn (transformers' EntropyBoundSampler).</summary>
    EntropyBound,

    /// <summary>
    /// Positions whose proposal is likely enough are committed, at least so many a step that all are when the steps are used up; committed tokens
    /// may be edited (diffusers' BlockRefinementScheduler under uniform corruption).
    /// </summary>
    BlockRefinement,
}
