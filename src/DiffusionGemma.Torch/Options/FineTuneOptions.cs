using static TorchSharp.torch;

namespace DiffusionGemma;

/// <summary>How a run trains. The defaults are those of NeMo AutoModel's DiffusionGemma recipes.</summary>
public sealed record FineTuneOptions
{
    /// <summary>Low-rank adaptation with everything else frozen; null: every text tensor but routers and layer scalars is trained.</summary>
    public LoraOptions? Lora { get; init; }

    /// <summary>Optimiser steps at most; null: <see cref="Epochs"/> alone decides. The smaller of the two ends the run.</summary>
    public int? MaxSteps { get; init; }

    /// <summary>Passes over the rows at most.</summary>
    public int Epochs { get; init; } = 1;

    /// <summary>Rows an optimiser step. An incomplete last batch of an epoch is dropped.</summary>
    public int GlobalBatchSize { get; init; } = 8;

    /// <summary>Rows a forward and backward pass at most, of each rank; gradients of the micro-batches of a step add up. Rows of like length go together.</summary>
    public int MicroBatchSize { get; init; } = 1;

    /// <summary>Tokens a forward and backward pass at most, padding included; null: <see cref="MicroBatchSize"/> alone decides.</summary>
    public int? MicroBatchTokens { get; init; }

    /// <summary>
    /// Micro-batches that a rank on a CPU works on at once, sharing its torch threads out: each has activations of its own, and of full fine-tuning gradients
    /// too. Null: as many as there are threads, micro-batches a step and memory (<see cref="MemoryBudget"/>, or the machine's), of full fine-tuning two at most.
    /// One takes the least memory. Where ranks own the experts between them, and on other devices, there is one. Losses do not depend on them but for rounding.
    /// </summary>
    public int? Workers { get; init; }

    /// <summary>The rate at the end of the warm-up.</summary>
    public double LearningRate { get; init; } = 1.5e-4;

    /// <summary>The rate of the first step, from which the warm-up rises.</summary>
    public double InitialLearningRate { get; init; }

    /// <summary>The rate at the end of the run.</summary>
    public double MinLearningRate { get; init; } = 1.5e-5;

    /// <summary>Steps of linear warm-up; less than the run's steps.</summary>
    public int WarmupSteps { get; init; } = 25;

    /// <summary>How the rate falls after the warm-up.</summary>
    public LearningRateDecay Decay { get; init; } = LearningRateDecay.Cosine;

    /// <summary>For <see cref="LearningRateDecay.WarmupStableDecay"/>: the part of the run, from its end, over which the rate falls.</summary>
    public double DecayFraction { get; init; } = 0.2;

    /// <summary>
    /// Keeps of each layer its input alone, and computes the rest again for the backward: the same gradients in less memory and about a third
    /// more time. Not together with LoRA dropout, whose draws would not come again.
    /// </summary>
    public bool ActivationCheckpointing { get; init; }

    /// <summary>Decay of AdamW's first moment.</summary>
    public double Beta1 { get; init; } = 0.95;

    /// <summary>Decay of AdamW's second moment.</summary>
    public double Beta2 { get; init; } = 0.99;

    /// <summary>AdamW's ε.</summary>
    public double AdamEpsilon { get; init; } = 1e-8;

    /// <summary>Decoupled, on every trained parameter.</summary>
    public double WeightDecay { get; init; } = 1e-4;

    /// <summary>Gradients are scaled down to this norm where theirs is larger.</summary>
    public double MaxGradientNorm { get; init; } = 1.0;

    /// <summary>Weight of the encoder's next-token loss beside the diffusion loss.</summary>
    public double EncoderLossWeight { get; init; } = 1.0;

    /// <summary>Probability with which an example's scored pass is conditioned on a first one.</summary>
    public double SelfConditioningProbability { get; init; } = 0.5;

    /// <summary>The least noise level t.</summary>
    public double NoiseFloor { get; init; } = 1e-3;

    /// <summary>Where every random draw starts; null: the caller's own (an MLContext's seed), else 42.</summary>
    public int? Seed { get; init; }

    /// <summary>Whether an epoch visits the rows in a drawn order; false: as they come.</summary>
    public bool Shuffle { get; init; } = true;

    /// <summary>
    /// Where <c>gemma.FineTune</c> loads the model; null: the first CUDA device, or the CPU where there is none.
    /// <see cref="FineTuner"/> trains a model where it is.
    /// </summary>
    public Device? Device { get; init; }

    /// <summary>
    /// Devices that train together, a rank each: <c>Device.Cpu(4)</c>, or CUDA devices of this machine. Experts are split over them, everything else is
    /// replicated, and optimiser state is shared out. Null: <see cref="Device"/> where it is set, or the device of a model that is trained in place; else all CUDA
    /// devices of the machine, or the CPU. Where
    /// mpirun, srun or torchrun has started several processes, each names its own (one, if null), and all train together.
    /// </summary>
    public IReadOnlyList<Device>? Devices { get; init; }

    /// <summary>
    /// Ranks that own one set of all experts between them; divides the number of ranks and of experts. What is left is data parallelism: with 8 ranks and 2 here
    /// there are 4 sets. Null: as many of one machine's ranks as both numbers allow.
    /// </summary>
    public int? ExpertParallel { get; init; }

    /// <summary>How long a rank waits for the others before the run ends with an error: more than the slowest step, or writing a checkpoint, takes.</summary>
    public TimeSpan CollectiveTimeout { get; init; } = TimeSpan.FromMinutes(10);

    /// <summary>
    /// What <c>gemma.FineTune</c> computes in; null: bfloat16 on CUDA, float32 on the CPU. Master weights are float32 at least.
    /// <see cref="FineTuner"/> trains a model in its own dtype.
    /// </summary>
    public ScalarType? Precision { get; init; }

    /// <summary>Where full fine-tuning through ML.NET puts the trained checkpoint; required there, unused with <see cref="Lora"/>.</summary>
    public string? OutputFolder { get; init; }

    /// <summary>Where and when the run writes what it can be resumed from; null: never.</summary>
    public RunCheckpointOptions? Checkpoints { get; init; }

    /// <summary>Held-out rows that the run is measured on; null: none.</summary>
    public EvaluationOptions? Evaluation { get; init; }

    /// <summary>
    /// Before the first step, a forward and backward pass over the longest rows, whose gradients are thrown away: too little memory shows at
    /// once and not hours later.
    /// </summary>
    public bool DryRun { get; init; } = true;

    /// <summary>
    /// Bytes that the run may take of its device (<see cref="TrainingPlan"/>); a run that needs more is refused with a
    /// <see cref="MemoryBudgetException"/> before weights are loaded or anything is made. Null: not looked at.
    /// </summary>
    public long? MemoryBudget { get; init; }

    /// <summary>A cancelled run returns the model as of its last whole step; false: it throws.</summary>
    public bool ReturnOnCancellation { get; init; }

    /// <summary>Filled while the run goes on, from its first step even where it resumes; to be read on any thread. Null: the result's alone.</summary>
    public RunHistory? History { get; init; }

    /// <summary>Told what is no error but worth knowing: a checkpoint passed over as damaged, or one that could not be written. Null: nobody.</summary>
    public IProgress<string>? Notices { get; init; }

    /// <summary>Bytes of memory that <c>gemma.FineTune</c> keeps packed rows in; more go to a temporary file (<see cref="PackedRowStore"/>).</summary>
    public long MaxRowBytesInMemory { get; init; } = PackedRowStore.DefaultMaxBytes;

    /// <summary>Where that file is made; null: the system's folder for temporary files.</summary>
    public string? ScratchFolder { get; init; }

    internal const int DefaultSeed = 42;

    /// <summary>What each rank is given in place of the group of all ranks: to count or to disturb what goes through it. Null: the group itself.</summary>
    internal Func<IProcessGroup, IProcessGroup>? Observed { get; init; }

    internal void Validate()
    {
        static void Require(bool holds, string option, object? value, string rule)
        {
            if (!holds) throw new ArgumentOutOfRangeException($"FineTuneOptions.{option}", value, $"FineTuneOptions.{option} {rule}.");
        }

        Lora?.Validate();
        Require(MaxSteps is null or >= 1, nameof(MaxSteps), MaxSteps, "must be at least 1, or null");
        Require(Workers is null or >= 1, nameof(Workers), Workers, "must be at least 1, or null");
        Require(Epochs >= 1, nameof(Epochs), Epochs, "must be at least 1");
        Require(GlobalBatchSize >= 1, nameof(GlobalBatchSize), GlobalBatchSize, "must be at least 1");
        Require(MicroBatchSize >= 1, nameof(MicroBatchSize), MicroBatchSize, "must be at least 1");
        Require(MicroBatchTokens is null or >= 1, nameof(MicroBatchTokens), MicroBatchTokens, "must be at least 1, or null");
        Require(double.IsFinite(LearningRate) && LearningRate > 0, nameof(LearningRate), LearningRate, "must be a positive number");
        Require(InitialLearningRate >= 0 && InitialLearningRate <= LearningRate, nameof(InitialLearningRate), InitialLearningRate, "must lie between 0 and LearningRate");
        Require(MinLearningRate >= 0 && MinLearningRate <= LearningRate, nameof(MinLearningRate), MinLearningRate, "must lie between 0 and LearningRate");
        Require(WarmupSteps >= 0, nameof(WarmupSteps), WarmupSteps, "must not be negative");
        Require(DecayFraction is > 0 and <= 1, nameof(DecayFraction), DecayFraction, "must be in (0,1]");
        Require(Enum.IsDefined(Decay), nameof(Decay), Decay, "must be one of the named ways");
        Require(MaxRowBytesInMemory >= 0, nameof(MaxRowBytesInMemory), MaxRowBytesInMemory, "must not be negative");
        Checkpoints?.Validate();
        Require(Device is null || Devices is null, nameof(Devices), Devices, "and FineTuneOptions.Device cannot both be set");
        Require(Devices is not { Count: 0 }, nameof(Devices), Devices, "must name a device, or be null");
        Require(Devices is null || Devices.Select(d => d.type).Distinct().Count() == 1, nameof(Devices), Devices, "must be of one kind: all CPU, or all CUDA");
        Require(Devices is null || Devices[0].type == TorchSharp.DeviceType.CPU || Devices.Select(d => d.index).Distinct().Count() == Devices.Count, nameof(Devices), Devices, "name one CUDA device twice");
        Require(ExpertParallel is null or >= 1, nameof(ExpertParallel), ExpertParallel, "must be at least 1, or null");
        Require(CollectiveTimeout > TimeSpan.Zero || CollectiveTimeout == Timeout.InfiniteTimeSpan, nameof(CollectiveTimeout), CollectiveTimeout, "must be positive, or infinite");
        Require(Beta1 is >= 0 and < 1, nameof(Beta1), Beta1, "must be in [0,1)");
        Require(Beta2 is >= 0 and < 1, nameof(Beta2), Beta2, "must be in [0,1)");
        Require(double.IsFinite(AdamEpsilon) && AdamEpsilon > 0, nameof(AdamEpsilon), AdamEpsilon, "must be a positive number");
        Require(double.IsFinite(WeightDecay) && WeightDecay >= 0, nameof(WeightDecay), WeightDecay, "must not be negative");
        Require(MaxGradientNorm > 0, nameof(MaxGradientNorm), MaxGradientNorm, "must be positive (infinity: never scaled down)");
        Require(double.IsFinite(EncoderLossWeight) && EncoderLossWeight >= 0, nameof(EncoderLossWeight), EncoderLossWeight, "must not be negative");
        Require(SelfConditioningProbability is >= 0 and <= 1, nameof(SelfConditioningProbability), SelfConditioningProbability, "must be in [0,1]");
        Require(NoiseFloor is >= 0 and <= 1, nameof(NoiseFloor), NoiseFloor, "must be in [0,1]");
    }
}
