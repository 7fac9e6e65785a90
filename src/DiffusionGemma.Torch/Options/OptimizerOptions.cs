namespace DiffusionGemma;

/// <summary>
/// AdamW and its learning-rate schedule, beside <see cref="FineTuneOptions.LearningRate"/> and <see cref="FineTuneOptions.WarmupSteps"/>.
/// </summary>
public sealed record OptimizerOptions
{
    /// <summary>Learning rate of the first step, where the warm-up starts. Default: 0.</summary>
    public double InitialLearningRate { get; init; }

    /// <summary>Learning rate at the end of the run. Default: 1.5e-5.</summary>
    public double MinLearningRate { get; init; } = 1.5e-5;

    /// <summary>Shape of the decay after the warm-up. Default: <see cref="LearningRateDecay.Cosine"/>.</summary>
    public LearningRateDecay Decay { get; init; } = LearningRateDecay.Cosine;

    /// <summary>
    /// For <see cref="LearningRateDecay.WarmupStableDecay"/>: the last part of the run, in (0,1], over which the rate decays. Default: 0.2.
    /// </summary>
    public double DecayFraction { get; init; } = 0.2;

    /// <summary>Decay of AdamW's first moment. Default: 0.95.</summary>
    public double Beta1 { get; init; } = 0.95;

    /// <summary>Decay of AdamW's second moment. Default: 0.99.</summary>
    public double Beta2 { get; init; } = 0.99;

    /// <summary>AdamW's ε. Default: 1e-8.</summary>
    public double AdamEpsilon { get; init; } = 1e-8;

    /// <summary>Decoupled weight decay (Loshchilov and Hutter 2019), on every trained parameter. Default: 1e-4.</summary>
    public double WeightDecay { get; init; } = 1e-4;

    /// <summary>2-norm to which the gradients of all parameters are clipped; infinity: never clipped. Default: 1.</summary>
    public double MaxGradientNorm { get; init; } = 1.0;

    internal void Check(OptionFaults faults, double learningRate)
    {
        const string Group = nameof(FineTuneOptions.Optimizer);
        double most = learningRate > 0 ? learningRate : double.PositiveInfinity;               // its own fault is enough
        faults.Require(
            InitialLearningRate >= 0 && InitialLearningRate <= most, Group, nameof(InitialLearningRate), InitialLearningRate,
            "must lie between 0 and LearningRate");
        faults.Require(
            MinLearningRate >= 0 && MinLearningRate <= most, Group, nameof(MinLearningRate), MinLearningRate,
            "must lie between 0 and LearningRate");
        faults.Require(Enum.IsDefined(Decay), Group, nameof(Decay), Decay, "must be a value of LearningRateDecay");
        faults.Require(DecayFraction is > 0 and <= 1, Group, nameof(DecayFraction), DecayFraction, "must be in (0,1]");
        faults.Require(Beta1 is >= 0 and < 1, Group, nameof(Beta1), Beta1, "must be in [0,1)");
        faults.Require(Beta2 is >= 0 and < 1, Group, nameof(Beta2), Beta2, "must be in [0,1)");
        faults.Require(
            double.IsFinite(AdamEpsilon) && AdamEpsilon > 0, Group, nameof(AdamEpsilon), AdamEpsilon, "must be a positive number");
        faults.Require(
            double.IsFinite(WeightDecay) && WeightDecay >= 0, Group, nameof(WeightDecay), WeightDecay, "must not be negative");
        faults.Require(
            MaxGradientNorm > 0, Group, nameof(MaxGradientNorm), MaxGradientNorm, "must be positive (infinity: never clipped)");
    }
}
