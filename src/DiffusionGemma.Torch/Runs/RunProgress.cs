namespace DiffusionGemma;

/// <summary>The steps done and left of a run; the same on every rank.</summary>
/// <param name="steps">Steps of the whole run.</param>
/// <param name="history">The records so far.</param>
internal sealed class RunProgress(int steps, RunHistory history)
{
    private bool _stopsEarly;

    public RunHistory History => history;

    public int StepsDone => history.Count;

    public int Steps => steps;

    /// <summary>True when no step is left, or a callback has stopped the run.</summary>
    public bool IsOver => StepsDone == steps || _stopsEarly;

    /// <summary>Ends the run before its last step.</summary>
    public void StopEarly() => _stopsEarly = true;
}
