namespace DiffusionGemma;

/// <summary>
/// Measures held-out losses while a run goes on; keeps the best weights, and stops the run early, where the options ask for it.
/// </summary>
/// <param name="model">This rank's part of the model.</param>
/// <param name="options">Held-out rows, and when to measure.</param>
/// <param name="seed">The run's seed.</param>
/// <param name="ranks">The ranks that take the rows in turn.</param>
/// <param name="best">The best evaluation so far.</param>
/// <param name="cancellation">Passes records on to the listener.</param>
/// <param name="answers">Answers held-out rows too; null: none are asked for.</param>
internal sealed class EvaluationCallback(
    DiffusionGemmaModel model, EvaluationOptions options, long seed, RankGroups ranks, BestWeights best, CancellationCallback cancellation,
    HeldOutAnswers? answers)
    : IRunCallback
{
    public void BeforeStep(RunProgress run)
    {
        if (IsDue(run)) best.Add(Evaluate(run));
        if (best.IsPatienceExhausted) run.StopEarly();
    }

    public void AtEnd(RunProgress run, RunEnd end)
    {
        if (end != RunEnd.Cancelled) best.Restore();
    }

    /// <summary>A resumed run may have been evaluated after its last step already.</summary>
    private bool IsDue(RunProgress run) =>
        run.StepsDone > 0
        && (run.StepsDone % options.EverySteps == 0 || run.StepsDone == run.Steps)
        && run.History.Evaluations.LastOrDefault()?.Step != run.StepsDone;

    private EvaluationRecord Evaluate(RunProgress run)
    {
        EvaluationRecord record = HeldOutEvaluation.Run(model, options.Examples, seed, run.StepsDone, ranks, cancellation.Token);
        if (answers is not null) record = record with { Answers = answers.Run(run.StepsDone, cancellation.Token) };
        run.History.Add(record);
        cancellation.Report(options.Progress, record);
        return record;
    }
}
