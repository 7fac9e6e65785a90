namespace DiffusionGemma;

/// <summary>Writes checkpoints of the run: every so many steps, at the end, on request, and when it is cancelled.</summary>
/// <param name="checkpoint">Writes them.</param>
/// <param name="options">When to write.</param>
/// <param name="returnsOnCancellation">True where a cancelled run keeps its model: a checkpoint that fails then loses nothing.</param>
/// <param name="ranks">The ranks that write together.</param>
/// <param name="takesRequests">True on the one rank of a process that reads <see cref="RunCheckpointOptions.Request"/>.</param>
/// <param name="notify">Receives the error of a checkpoint that could not be written.</param>
internal sealed class CheckpointCallback(
    RunCheckpoint checkpoint, RunCheckpointOptions options, bool returnsOnCancellation, RankGroups ranks, bool takesRequests,
    Action<string> notify) : IRunCallback
{
    public void BeforeStep(RunProgress run)
    {
        if (run.StepsDone == 0) return;
        bool isRequested = ranks.Any(takesRequests && options.Request?.Take() == true);
        if (isRequested || run.StepsDone % options.EverySteps == 0 || run.IsOver) TrySave(run.History);
    }

    public void AtEnd(RunProgress run, RunEnd end)
    {
        if (end != RunEnd.Cancelled || run.StepsDone == 0) return;
        if (returnsOnCancellation) TrySave(run.History);
        else checkpoint.Save(run.History);
    }

    /// <summary>
    /// A failed checkpoint does not end the run, which would lose all training since the last; the next is tried when it is due.
    /// </summary>
    private void TrySave(RunHistory history)
    {
        try
        {
            checkpoint.Save(history);
        }
        catch (TrainingException e)
        {
            notify($"{e.Message} The run goes on without it.");
        }
    }
}
