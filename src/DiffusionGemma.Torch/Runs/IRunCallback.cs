namespace DiffusionGemma;

/// <summary>
/// Work beside the steps of a run. All ranks call the same callbacks in the same order, so that a callback may use collectives. An
/// exception ends the run.
/// </summary>
internal interface IRunCallback
{
    /// <summary>Called before every step, and once more after the last: <see cref="RunProgress.IsOver"/> then holds.</summary>
    void BeforeStep(RunProgress run)
    {
    }

    /// <summary>Called after every step.</summary>
    void AfterStep(RunProgress run, StepRecord record)
    {
    }

    /// <summary>Called once when the run has ended, cancelled runs included; not after an error.</summary>
    void AtEnd(RunProgress run, RunEnd end)
    {
    }
}
