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

    /// <summary>
    /// Held-out rows, the first ones, that are answered at every evaluation too (<see cref="EvaluationRecord.Answers"/>): from the prompt
    /// that the row has, with the checkpoint's generation settings, and with no more canvases than the row. Default: 0. Where experts are
    /// split over devices there are none, and a notice says so.
    /// </summary>
    public int Answers { get; init; }

    /// <summary>
    /// Adds texts to an answer, and whether it is the expected one; may be called on several threads. Null: answers have token ids alone;
    /// <c>FineTune</c> of the ML.NET catalog sets its own.
    /// </summary>
    public Func<EvaluationAnswer, EvaluationAnswer>? ReadAnswer { get; init; }

    /// <summary>Receives a record after every evaluation; null: nobody.</summary>
    public IProgress<EvaluationRecord>? Progress { get; init; }

    internal void Check(OptionFaults faults)
    {
        const string Group = nameof(FineTuneOptions.Evaluation);
        faults.Require(EverySteps >= 1, Group, nameof(EverySteps), EverySteps, "must be at least 1");
        faults.Require(Answers >= 0, Group, nameof(Answers), Answers, "must be 0 or more");
        faults.Require(Patience is null or >= 1, Group, nameof(Patience), Patience, "must be at least 1, or null");
    }
}
