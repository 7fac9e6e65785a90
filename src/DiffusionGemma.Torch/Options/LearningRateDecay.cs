namespace DiffusionGemma;

/// <summary>Shape of the learning rate's decay from its peak to its minimum after the warm-up.</summary>
public enum LearningRateDecay
{
    /// <summary>Half a cosine over the rest of the run, as in the recipes.</summary>
    Cosine,

    /// <summary>A straight line over the rest of the run.</summary>
    Linear,

    /// <summary>None: the rate stays at its peak.</summary>
    Constant,

    /// <summary>
    /// None until the last part of the run (<see cref="OptimizerOptions.DecayFraction"/>), then a straight line (warm-up, stable, decay).
    /// </summary>
    WarmupStableDecay,
}
