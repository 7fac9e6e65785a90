namespace DiffusionGemma;

/// <summary>The steps of a run, with its callbacks between them.</summary>
/// <param name="run">The steps done and left.</param>
/// <param name="step">Trains on one global batch.</param>
/// <param name="prepare">Makes the batch of a step; called on a thread of its own, in order.</param>
/// <param name="callbacks">Called in their order.</param>
internal sealed class TrainingLoop(
    RunProgress run, TrainingStep step, Func<int, PreparedStep> prepare, IReadOnlyList<IRunCallback> callbacks)
{
    /// <summary>Trains to the end, or until a callback stops the run. A collective.</summary>
    /// <param name="cancellation">Checked between micro-batches.</param>
    /// <exception cref="OperationCanceledException">Cancelled; <see cref="End"/> was not called.</exception>
    public void Run(CancellationToken cancellation)
    {
        using var input = new StepProducer(run.StepsDone, run.Steps, prepare);
        while (true)
        {
            foreach (IRunCallback callback in callbacks) callback.BeforeStep(run);
            if (run.IsOver) break;
            (PreparedStep batch, TimeSpan waited) = input.Next();
            StepRecord record = step.Run(batch, waited, cancellation);
            run.History.Add(record);
            foreach (IRunCallback callback in callbacks) callback.AfterStep(run, record);
        }
    }

    /// <summary>Tells the callbacks that the run has ended. A collective.</summary>
    public void End(RunEnd end)
    {
        foreach (IRunCallback callback in callbacks) callback.AtEnd(run, end);
    }
}
