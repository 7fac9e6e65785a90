namespace DiffusionGemma;

/// <summary>The training loss and its random draws.</summary>
public sealed record ObjectiveOptions
{
    /// <summary>Weight of the encoder's next-token loss in the total loss. Default: 1.</summary>
    public double EncoderLossWeight { get; init; } = 1.0;

    /// <summary>
    /// Probability that an example's scored pass is conditioned on the logits of a first pass (self-conditioning). Default: 0.5.
    /// </summary>
    public double SelfConditioningProbability { get; init; } = 0.5;

    /// <summary>Lowest noise level t of the corruption. Default: 1e-3.</summary>
    public double NoiseFloor { get; init; } = 1e-3;

    internal void Check(OptionFaults faults)
    {
        const string Group = nameof(FineTuneOptions.Objective);
        faults.Require(
            double.IsFinite(EncoderLossWeight) && EncoderLossWeight >= 0, Group, nameof(EncoderLossWeight), EncoderLossWeight,
            "must not be negative");
        faults.Require(
            SelfConditioningProbability is >= 0 and <= 1, Group, nameof(SelfConditioningProbability), SelfConditioningProbability,
            "must be in [0,1]");
        faults.Require(NoiseFloor is >= 0 and <= 1, Group, nameof(NoiseFloor), NoiseFloor, "must be in [0,1]");
    }
}
