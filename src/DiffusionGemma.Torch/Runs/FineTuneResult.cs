using static TorchSharp.torch;

namespace DiffusionGemma;

/// <summary>The outcome of a run.</summary>
public sealed class FineTuneResult : IDisposable
{
    internal FineTuneResult()
    {
    }

    /// <summary>One record a step.</summary>
    public required IReadOnlyList<StepRecord> History { get; init; }

    /// <summary>One record an evaluation.</summary>
    public required IReadOnlyList<EvaluationRecord> Evaluations { get; init; }

    /// <summary>Messages that <see cref="RunOptions.Notices"/> received from the run.</summary>
    public required IReadOnlyList<string> Notices { get; init; }

    /// <summary>The reason why the run ended.</summary>
    public required RunEnd End { get; init; }

    /// <summary>The trained adapter, set on the model; null after full fine-tuning.</summary>
    public required LoraAdapter? Adapter { get; init; }

    /// <summary>
    /// The trained model, where a checkpoint's folder was trained on one device; null where a model was trained in place or on several
    /// devices, and after full fine-tuning in another dtype than the checkpoint's (load <see cref="FineTuneOptions.OutputFolder"/>, whose
    /// weights are rounded).
    /// </summary>
    public DiffusionGemmaModel? Model { get; private set; }

    /// <summary>The device of this process's first rank.</summary>
    public required Device Device { get; init; }

    /// <summary>Names of the adapted modules, or of the trained tensors.</summary>
    public required IReadOnlyList<string> TrainedTensors { get; init; }

    /// <summary>Numbers that were trained.</summary>
    public required long TrainedParameterCount { get; init; }

    internal FineTuneResult With(DiffusionGemmaModel model)
    {
        Model = model;
        return this;
    }

    /// <summary>
    /// Frees <see cref="Model"/> and the adapter: take the adapter off a model that was trained in place, or dispose that model, first.
    /// </summary>
    public void Dispose()
    {
        Model?.Dispose();
        Adapter?.Dispose();
    }
}
