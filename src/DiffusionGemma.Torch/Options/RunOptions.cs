using static TorchSharp.torch;

namespace DiffusionGemma;

/// <summary>Options of a run's steps: precision, micro-batches, memory, cancellation.</summary>
public sealed record RunOptions
{
    /// <summary>
    /// Compute dtype of a model that is loaded from a folder; null: bfloat16 on CUDA, float32 on the CPU. Master weights are float32 at
    /// least. A model that is trained in place keeps its own dtype.
    /// </summary>
    public ScalarType? Precision { get; init; }

    /// <summary>
    /// Keeps only each layer's input and computes the rest again for the backward: the same gradients in less memory and about a third more
    /// time. Not together with LoRA dropout, whose draws would differ the second time.
    /// </summary>
    public bool ActivationCheckpointing { get; init; }

    /// <summary>
    /// Most rows of a micro-batch, on each rank; gradients of a step's micro-batches add up. Rows of similar length go together. Default:
    /// 1.
    /// </summary>
    public int MicroBatchSize { get; init; } = 1;

    /// <summary>Most tokens of a micro-batch, padding included; null: <see cref="MicroBatchSize"/> alone decides.</summary>
    public int? MicroBatchTokens { get; init; }

    /// <summary>Visits the rows of an epoch in a random order; false: in the order given. Default: true.</summary>
    public bool Shuffle { get; init; } = true;

    /// <summary>
    /// Before the first step, runs a forward and backward pass over the longest rows and discards the gradients: too little memory shows at
    /// once and not hours later. Default: true.
    /// </summary>
    public bool DryRun { get; init; } = true;

    /// <summary>
    /// Most bytes of its device that the run may take, by <see cref="TrainingPlan"/>; a run that needs more is refused with a
    /// <see cref="MemoryBudgetException"/> before weights are loaded or tensors made. Null: no limit.
    /// </summary>
    public long? MemoryBudget { get; init; }

    /// <summary>A cancelled run returns the model as of its last whole step; false: it throws.</summary>
    public bool ReturnOnCancellation { get; init; }

    /// <summary>
    /// Receives what is worth knowing but no error: a damaged checkpoint that was passed over, or one that could not be written. Null:
    /// nobody.
    /// </summary>
    public IProgress<string>? Notices { get; init; }

    internal void Check(OptionFaults faults)
    {
        const string Group = nameof(FineTuneOptions.Run);
        faults.Require(MicroBatchSize >= 1, Group, nameof(MicroBatchSize), MicroBatchSize, "must be at least 1");
        faults.Require(
            MicroBatchTokens is null or >= 1, Group, nameof(MicroBatchTokens), MicroBatchTokens, "must be at least 1, or null");
    }
}
