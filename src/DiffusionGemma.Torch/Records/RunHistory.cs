using System.Collections;

namespace DiffusionGemma;

/// <summary>
/// The records of a run, one a step, that any thread may read while the run adds to them: an enumeration is of the steps done when it
/// began. A run that is given a history empties it first.
/// </summary>
public sealed class RunHistory : IReadOnlyList<StepRecord>
{
    private readonly Lock _lock = new();
    private readonly List<StepRecord> _steps = [];
    private readonly List<EvaluationRecord> _evaluations = [];
    private int? _totalSteps;

    /// <summary>Steps of the whole run, if it does not stop early; null before it starts.</summary>
    public int? TotalSteps
    {
        get
        {
            lock (_lock) return _totalSteps;
        }
    }

    /// <summary>Steps done.</summary>
    public int Count
    {
        get
        {
            lock (_lock) return _steps.Count;
        }
    }

    /// <summary>Evaluations made, as of now.</summary>
    public IReadOnlyList<EvaluationRecord> Evaluations
    {
        get
        {
            lock (_lock) return [.. _evaluations];
        }
    }

    /// <inheritdoc/>
    public StepRecord this[int index]
    {
        get
        {
            lock (_lock) return _steps[index];
        }
    }

    /// <inheritdoc/>
    public IEnumerator<StepRecord> GetEnumerator()
    {
        StepRecord[] steps;
        lock (_lock) steps = [.. _steps];
        return ((IEnumerable<StepRecord>)steps).GetEnumerator();
    }

    IEnumerator IEnumerable.GetEnumerator() => GetEnumerator();

    internal void Start(IEnumerable<StepRecord> steps, IEnumerable<EvaluationRecord> evaluations, int totalSteps)
    {
        lock (_lock)
        {
            _totalSteps = totalSteps;
            _steps.Clear();
            _steps.AddRange(steps);
            _evaluations.Clear();
            _evaluations.AddRange(evaluations);
        }
    }

    internal void Add(StepRecord step)
    {
        lock (_lock) _steps.Add(step);
    }

    internal void Add(EvaluationRecord evaluation)
    {
        lock (_lock) _evaluations.Add(evaluation);
    }
}
