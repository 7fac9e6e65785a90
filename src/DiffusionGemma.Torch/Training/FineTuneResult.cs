namespace DiffusionGemma;

/// <summary>What a run leaves beside the model that it trained in place.</summary>
public sealed class FineTuneResult : IDisposable
{
    internal FineTuneResult(IReadOnlyList<StepRecord> history, LoraAdapter? adapter, IReadOnlyList<string> trained, long trainedParameters)
    {
        History = history;
        Adapter = adapter;
        TrainedTensors = trained;
        TrainedParameterCount = trainedParameters;
    }

    /// <summary>One record a step.</summary>
    public IReadOnlyList<StepRecord> History { get; }

    /// <summary>The trained adapter, set on the model; null after full fine-tuning.</summary>
    public LoraAdapter? Adapter { get; }

    /// <summary>What was trained: adapted modules, or the names of the model's tensors.</summary>
    public IReadOnlyList<string> TrainedTensors { get; }

    /// <summary>How many numbers were trained.</summary>
    public long TrainedParameterCount { get; }

    /// <summary>Frees the adapter: take it off the model, or dispose the model, first.</summary>
    public void Dispose() => Adapter?.Dispose();
}
