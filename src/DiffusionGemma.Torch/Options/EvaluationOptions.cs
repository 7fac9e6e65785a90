namespace DiffusionGemma;

/// <summary>Held-out rows that a run is measured on while it trains.</summary>
public sealed record EvaluationOptions
{
    /// <summary>Packed rows that are not trained on.</summary>
    public required IReadOnlyList<TrainingExample> Examples { get; init; }

    /// <summary>Steps between evaluations; one is also made at the end. Default: 100.</summary>
    public int EverySteps { get; init; } = 100;

    /// <summary>
    /// At the end, the weights go back to the evaluation with the lowest diffusion loss. A copy of them is kept on the CPU.
    /// </summary>
    public bool KeepBest { get; init; }

    /// <summary>Evaluations without a lower diffusion loss after which the run ends early; null: never.</summary>
    public int? Patience { get; init; }

    /// <summary>Receives a record after every evaluation; null: nobody.</summary>
    public IProgress<EvaluationRecord>? Progress { get; init; }

    internal void Check(OptionFaults faults)
    {
        const string Group = nameof(FineTuneOptions.Evaluation);
        faults.Require(EverySteps >= 1, Group, nameof(EverySteps), EverySteps, "must be at least 1");
        faults.Require(Patience is null or >= 1, Group, nameof(Patience), Patience, "must be at least 1, or null");
    }
}
