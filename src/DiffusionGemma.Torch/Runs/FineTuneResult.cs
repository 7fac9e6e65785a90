namespace DiffusionGemma;

/// <summary>Why a run ended.</summary>
public enum RunEnd
{
    /// <summary>All of its steps are done.</summary>
    Finished,

    /// <summary>Held-out losses no longer fell.</summary>
    StoppedEarly,

    /// <summary>Cancelled, with <see cref="RunOptions.ReturnOnCancellation"/>.</summary>
    Cancelled,
}

/// <summary>What a run leaves beside the model that it trained in place.</summary>
public sealed class FineTuneResult : IDisposable
{
    internal FineTuneResult(IReadOnlyList<StepRecord> history, LoraAdapter? adapter, IReadOnlyList<string> trained, long trainedParameters,
        IReadOnlyList<EvaluationRecord> evaluations, IReadOnlyList<string> notices, RunEnd end)
    {
        Notices = notices;
        Evaluations = evaluations;
        End = end;
        History = history;
        Adapter = adapter;
        TrainedTensors = trained;
        TrainedParameterCount = trainedParameters;
    }

    /// <summary>One record a step.</summary>
    public IReadOnlyList<StepRecord> History { get; }

    /// <summary>One record an evaluation.</summary>
    public IReadOnlyList<EvaluationRecord> Evaluations { get; }

    /// <summary>What was told to <see cref="RunOptions.Notices"/>.</summary>
    public IReadOnlyList<string> Notices { get; }

    /// <summary>Why the run ended.</summary>
    public RunEnd End { get; }

    /// <summary>The trained adapter, set on the model; null after full fine-tuning.</summary>
    public LoraAdapter? Adapter { get; }

    /// <summary>What was trained: adapted modules, or the names of the model's tensors.</summary>
    public IReadOnlyList<string> TrainedTensors { get; }

    /// <summary>How many numbers were trained.</summary>
    public long TrainedParameterCount { get; }

    /// <summary>Frees the adapter: take it off the model, or dispose the model, first.</summary>
    public void Dispose() => Adapter?.Dispose();
}
