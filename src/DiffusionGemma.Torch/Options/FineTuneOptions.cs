using TorchSharp;
using static TorchSharp.torch;

namespace DiffusionGemma;

/// <summary>Options of a fine-tuning run. The defaults are those of NeMo AutoModel's DiffusionGemma recipes.</summary>
public sealed record FineTuneOptions
{
    private const int DefaultWarmup = 25;

    /// <summary>
    /// Low-rank adaptation with everything else frozen; null: every text tensor but routers and layer scalars is trained.
    /// </summary>
    public LoraOptions? Lora { get; init; }

    /// <summary>
    /// Rounds the frozen weights of a checkpoint to 8 or 4 bits on loading, for <see cref="Lora"/>. None: as they are stored. Default:
    /// <see cref="Quantization.None"/>.
    /// </summary>
    public Quantization Quantization { get; init; }

    /// <summary>Most optimiser steps; null: <see cref="Epochs"/> alone decides. The smaller of the two ends the run.</summary>
    public int? MaxSteps { get; init; }

    /// <summary>
    /// Most passes over the rows; null: as many as <see cref="MaxSteps"/> takes, or one where that is null too.
    /// </summary>
    public int? Epochs { get; init; }

    /// <summary>Rows of an optimiser step. An incomplete last batch of an epoch is dropped. Default: 8.</summary>
    public int GlobalBatchSize { get; init; } = 8;

    /// <summary>Learning rate at the end of the warm-up, the highest of the run. Default: 1.5e-4.</summary>
    public double LearningRate { get; init; } = 1.5e-4;

    /// <summary>
    /// Steps of linear warm-up; less than the run's steps. Null: 25, or a tenth of the steps of a run that has 25 or fewer.
    /// </summary>
    public int? WarmupSteps { get; init; }

    /// <summary>Seed of every random draw; null: the caller's own (an MLContext's seed), else 42.</summary>
    public int? Seed { get; init; }

    /// <summary>
    /// Devices that train together, a rank each: <c>Device.Cpu(4)</c>, or CUDA devices of this machine. Experts are split over them,
    /// everything else is replicated, and optimiser state is sharded. Null: the device of a model that is trained in place; for a
    /// checkpoint's folder all CUDA devices of the machine, or the CPU. Where mpirun, srun or torchrun has started several processes, each
    /// names its own (one, if null), and all train together.
    /// </summary>
    public IReadOnlyList<Device>? Devices { get; init; }

    /// <summary>
    /// Folder for the checkpoint that full fine-tuning from a folder trains; required there, unused with <see cref="Lora"/>.
    /// </summary>
    public string? OutputFolder { get; init; }

    /// <summary>Folder and frequency of the checkpoints that a run can be resumed from; null: none are written.</summary>
    public RunCheckpointOptions? Checkpoints { get; init; }

    /// <summary>Held-out rows that the run is measured on; null: none.</summary>
    public EvaluationOptions? Evaluation { get; init; }

    /// <summary>
    /// Filled while the run goes on, from its first step even where it resumes; any thread may read it. Null: only the result has the
    /// history.
    /// </summary>
    public RunHistory? History { get; init; }

    /// <summary>AdamW and its learning-rate schedule.</summary>
    public OptimizerOptions Optimizer { get; init; } = new();

    /// <summary>The training loss and its random draws.</summary>
    public ObjectiveOptions Objective { get; init; } = new();

    /// <summary>Precision, micro-batches, memory, cancellation.</summary>
    public RunOptions Run { get; init; } = new();

    /// <summary>Ranks and workers that share the work.</summary>
    public ParallelismOptions Parallel { get; init; } = new();

    /// <summary>Steps of warm-up of a run of so many steps.</summary>
    internal int WarmupOf(int steps) => WarmupSteps ?? (steps > DefaultWarmup ? DefaultWarmup : steps / 10);

    /// <exception cref="ArgumentException">Options are at fault; the message names all of them.</exception>
    internal void Validate()
    {
        var faults = new OptionFaults(nameof(FineTuneOptions));
        void Require(bool holds, string option, object? value, string rule) => faults.Require(holds, "", option, value, rule);

        Require(Enum.IsDefined(Quantization), nameof(Quantization), Quantization, "must be None, Int8 or Int4");
        Require(
            Quantization == Quantization.None || Lora is not null, nameof(Quantization), Quantization,
            "must be None in full fine-tuning, as quantised weights do not train: set Lora");
        if (Lora is not null)
        {
            var ofLora = new OptionFaults(nameof(LoraOptions));
            Lora.Check(ofLora);
            faults.Include(ofLora);
        }
        string? devices = Devices is null ? null : string.Join(", ", Devices);
        Require(MaxSteps is null or >= 1, nameof(MaxSteps), MaxSteps, "must be at least 1, or null");
        Require(Epochs is null or >= 1, nameof(Epochs), Epochs, "must be at least 1, or null");
        Require(GlobalBatchSize >= 1, nameof(GlobalBatchSize), GlobalBatchSize, "must be at least 1");
        Require(double.IsFinite(LearningRate) && LearningRate > 0, nameof(LearningRate), LearningRate, "must be a positive number");
        Require(WarmupSteps is null or >= 0, nameof(WarmupSteps), WarmupSteps, "must not be negative");
        Require(Devices is not { Count: 0 }, nameof(Devices), "[]", "must name a device, or be null");
        Require(
            Devices is null || Devices.Select(d => d.type).Distinct().Count() <= 1, nameof(Devices), devices,
            "must be of one kind: all CPU, or all CUDA");
        Require(
            Devices is null || Devices.All(d => d.type is DeviceType.CPU or DeviceType.CUDA), nameof(Devices), devices,
            "must be CPU or CUDA devices");
        Require(
            Devices is null || Devices.All(d => d.type == DeviceType.CPU)
                || Devices.Select(d => d.index).Distinct().Count() == Devices.Count,
            nameof(Devices), devices, "must not name one CUDA device twice");
        Optimizer.Check(faults, LearningRate);
        Objective.Check(faults);
        Run.Check(faults);
        Parallel.Check(faults);
        Checkpoints?.Check(faults);
        Evaluation?.Check(faults);
        faults.Throw();
    }
}
