namespace DiffusionGemma;

/// <summary>Held-out rows that a run is measured on while it trains.</summary>
public sealed record EvaluationOptions
{
    /// <summary>Packed rows that are not trained on.</summary>
    public required IReadOnlyList<TrainingExample> Examples { get; init; }

    /// <summary>Steps between evaluations; one is also made at the end.</summary>
    public int EverySteps { get; init; } = 100;

    /// <summary>At the end, the weights go back to the evaluation with the lowest diffusion loss. A copy of them is kept on the CPU.</summary>
    public bool KeepBest { get; init; }

    /// <summary>Evaluations without a lower diffusion loss after which the run ends early; null: never.</summary>
    public int? Patience { get; init; }

    /// <summary>Told after every evaluation; null: nobody.</summary>
    public IProgress<EvaluationRecord>? Progress { get; init; }

    internal void Validate(DiffusionGemmaConfig config)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(EverySteps, 1, "FineTuneOptions.Evaluation.EverySteps");
        ArgumentOutOfRangeException.ThrowIfLessThan(Patience ?? 1, 1, "FineTuneOptions.Evaluation.Patience");
        TrainingRowChecks.Require(Examples, config, "FineTuneOptions.Evaluation.Examples: ");
    }
}

/// <summary>Losses on held-out rows, in nats a token.</summary>
public sealed record EvaluationRecord
{
    /// <summary>Noise levels an example is decoded at: t = 0.05, 0.15, ... 0.95.</summary>
    public const int NoiseLevels = 10;

    /// <summary>Steps trained before it.</summary>
    public required int Step { get; init; }

    /// <summary>Mean over the noise levels of <see cref="DiffusionLossByNoise"/>.</summary>
    public required double DiffusionLoss { get; init; }

    /// <summary>Mean cross-entropy over the supervised positions of one canvas a row, at each noise level, without self-conditioning.</summary>
    public required IReadOnlyList<double> DiffusionLossByNoise { get; init; }

    /// <summary>Mean next-token cross-entropy of the encoder.</summary>
    public required double EncoderLoss { get; init; }
}
