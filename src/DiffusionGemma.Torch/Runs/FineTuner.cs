using static TorchSharp.torch;

namespace DiffusionGemma;

/// <summary>Fine-tunes a model, on one device or on several together.</summary>
public static class FineTuner
{
    /// <summary>The part of a machine's memory within which a run chooses the number of its workers.</summary>
    private const double ShareOfMemory = 0.8;

    /// <summary>Trains the model in place: its weights, or (LoRA) an adapter that is then set on it.</summary>
    /// <param name="model">Trained where it is, in the dtype it was loaded as; below float32, float32 master weights are kept beside it.
    /// Where <see cref="FineTuneOptions.Lora"/> is set and the model has an adapter already, that adapter is trained further, with its own
    /// rank, scale, modules and dropout. On several devices each rank works on a part of its own, and the trained values come back into
    /// this model at the end: of a run that fails it keeps the values that it had (but for a rank that fails while fully trained weights
    /// are being collected).</param>
    /// <param name="examples">Packed rows (<see cref="CanvasPacking"/>).</param>
    /// <param name="options">How to train.</param>
    /// <param name="progress">Receives a record after every step, on the thread that trains (<see cref="Progress{T}"/> posts to
    /// another).</param>
    /// <param name="cancellation">Checked between micro-batches; the model is then as of its last whole step, of which a checkpoint is
    /// written where <see cref="FineTuneOptions.Checkpoints"/> is set.</param>
    /// <exception cref="TrainingException">The rows cannot be trained on, a loss or gradient is no longer a finite number, a checkpoint
    /// cannot be resumed, or its folder is in use.</exception>
    /// <exception cref="ProcessGroupException">A rank did not come to a collective in time, or ranks were given different things to
    /// do.</exception>
    /// <exception cref="MemoryBudgetException">The run needs more than <see cref="RunOptions.MemoryBudget"/>.</exception>
    /// <exception cref="ArgumentException">An option is out of range, or a LoRA target matches nothing.</exception>
    /// <exception cref="OperationCanceledException">Cancelled, without <see cref="RunOptions.ReturnOnCancellation"/>.</exception>
    /// <exception cref="ObjectDisposedException">The model or its adapter is disposed.</exception>
    public static FineTuneResult Fit(
        DiffusionGemmaModel model, IReadOnlyList<TrainingExample> examples, FineTuneOptions options, IProgress<StepRecord>? progress = null,
        CancellationToken cancellation = default) => Fit(model, examples, options, observe: null, progress, cancellation);

    /// <summary>The same, with each rank's group of all ranks wrapped by <paramref name="observe"/>.</summary>
    internal static FineTuneResult Fit(
        DiffusionGemmaModel model, IReadOnlyList<TrainingExample> examples, FineTuneOptions options, Func<IProcessGroup,
        IProcessGroup>? observe,
        IProgress<StepRecord>? progress = null, CancellationToken cancellation = default)
    {
        using IDisposable? training = InferenceMode.Leave();
        options.Validate();
        int[] lengths = RequireRows(examples, options, model.Config);
        using IDisposable? use = options.Lora is null ? null : model.Adapter?.Use();
        if (options.Lora is null && model.Adapter is not null)
            throw new TrainingException(
                "The model has an adapter, and weights trained under it would suit no other: call LoraAdapter.MergeInto or set "
                    + "DiffusionGemmaModel.Adapter to null "
                + "for full fine-tuning, or set FineTuneOptions.Lora to train the adapter further.");
        RequireTrainable(options, model.Stack.Quantized.Count > 0, model.Folder);
        if (options.Quantization != model.Quantization && options.Quantization != Quantization.None)
            throw new ArgumentException(
                $"FineTuneOptions.Quantization is {options.Quantization}, and the model is loaded already: load it with "
                + $"DiffusionGemmaModel.Load(..., quantization: Quantization.{options.Quantization}).", nameof(options));
        RequireNoDropoutWithCheckpointing(options, model.Adapter);
        var layout = RankLayout.Resolve(options with { Devices = options.Devices ?? [model.Device] }, model.Config);
        options = WithinMemory(model.Config, options with { Devices = layout.Devices }, model.DType, lengths.Max(), layout);
        var job =
            new TrainingJob(examples, lengths, options, StepCount(examples.Count, options), progress, cancellation) { Observe = observe };
        return layout.World == 1 ? job.InPlace(model) : job.OnRanks(layout, model);
    }

    /// <summary>
    /// Trains a checkpoint's folder. On several devices the model need not fit on one: every rank reads its own part. A low-rank adapter
    /// comes back in the result; fully trained weights go to <see cref="FineTuneOptions.OutputFolder"/>, a Hugging Face folder, a tensor at
    /// a time.
    /// </summary>
    /// <param name="checkpoint">A Hugging Face folder, never written to; of several processes all must see it.</param>
    /// <param name="examples">Packed rows (<see cref="CanvasPacking"/>); of several processes each is given the same.</param>
    /// <param name="options">How to train: on which devices, in what precision.</param>
    /// <param name="progress">As above; of several processes the first reports.</param>
    /// <param name="cancellation">As above; of several processes any may be cancelled, and all end.</param>
    /// <returns>On one device with the trained model, which answers without being loaded again: dispose the result when it is no longer
    /// needed. From several devices the adapter is whole and on the CPU.</returns>
    /// <exception cref="TrainingException">As above.</exception>
    /// <exception cref="ProcessGroupException">A rank did not come to a collective in time, or ranks were given different things to
    /// do.</exception>
    /// <exception cref="MemoryBudgetException">As above; no weights were loaded.</exception>
    /// <exception cref="ArgumentException">As above, or <see cref="Validate"/>'s.</exception>
    /// <exception cref="CheckpointException">The checkpoint cannot be read, or the output folder cannot be written.</exception>
    /// <exception cref="IOException">The output folder cannot be written to; nothing was trained.</exception>
    /// <exception cref="OperationCanceledException">As above.</exception>
    public static FineTuneResult Fit(
        string checkpoint, IReadOnlyList<TrainingExample> examples, FineTuneOptions options, IProgress<StepRecord>? progress = null,
        CancellationToken cancellation = default)
    {
        using IDisposable? training = InferenceMode.Leave();
        Validate(checkpoint, options);
        if (options.Lora is null && TrainingProcesses.IsFirst) RequireWritable(options.OutputFolder!);
        var config = DiffusionGemmaConfig.Load(checkpoint);
        int[] lengths = RequireRows(examples, options, config);
        RequireTrainable(options, config.Quantization is not null, checkpoint);
        RequireNoDropoutWithCheckpointing(options, existing: null);
        var layout = RankLayout.Resolve(options, config);
        ScalarType precision = options.Run.Precision ?? DiffusionGemmaRuntime.DefaultPrecision(layout.Devices[0]);
        options = WithinMemory(config, options with { Devices = layout.Devices }, precision, lengths.Max(), layout);
        var job = new TrainingJob(examples, lengths, options, StepCount(examples.Count, options), progress, cancellation);
        if (layout.World == 1) return job.OnOneRank(checkpoint, layout.Devices[0], precision);
        using Checkpoint opened = Checkpoint.Open(checkpoint);
        return job.OnRanks(layout, opened, precision);
    }

    /// <summary>Checks the options of a run that trains a checkpoint's folder, before there are rows.</summary>
    /// <param name="checkpoint">The folder.</param>
    /// <param name="options">How to train.</param>
    /// <exception cref="ArgumentException">An option is out of range, or full fine-tuning has no <see cref="FineTuneOptions.OutputFolder"/>
    /// of its own.</exception>
    public static void Validate(string checkpoint, FineTuneOptions options)
    {
        ArgumentException.ThrowIfNullOrEmpty(checkpoint);
        ArgumentNullException.ThrowIfNull(options);
        options.Validate();
        if (options.Lora is not null) return;
        if (string.IsNullOrEmpty(options.OutputFolder))
            throw new ArgumentException(
                "Full fine-tuning needs FineTuneOptions.OutputFolder: the trained checkpoint goes there, as it is too large for a saved "
                + "model. Or set FineTuneOptions.Lora.", nameof(options));
        if (FullPath(options.OutputFolder) == FullPath(checkpoint))
            throw new ArgumentException(
                $"FineTuneOptions.OutputFolder is the checkpoint itself ({checkpoint}), which would be lost: name another folder.",
                nameof(options));
    }

    /// <summary>Losses on rows that are not trained on; nothing is changed.</summary>
    /// <param name="model">The model, with or without an adapter.</param>
    /// <param name="examples">Packed rows.</param>
    /// <param name="seed">Seed of the corruption.</param>
    /// <param name="cancellation">Checked between rows.</param>
    /// <exception cref="OperationCanceledException">Cancelled.</exception>
    /// <exception cref="TrainingException">A row is malformed, or there is none.</exception>
    public static EvaluationRecord Evaluate(
        DiffusionGemmaModel model, IReadOnlyList<TrainingExample> examples, int seed = Seeds.Default,
        CancellationToken cancellation = default)
    {
        cancellation.ThrowIfCancellationRequested();
        TrainingRowChecks.Require(examples, model.Config);
        return HeldOutEvaluation.Run(model, examples, seed, step: 0, RankGroups.Single(model.Device), cancellation);
    }

    /// <summary>Sets the number of workers: the number asked for, or as many as have work and memory.</summary>
    /// <exception cref="MemoryBudgetException">The run needs more than <see cref="RunOptions.MemoryBudget"/>.</exception>
    internal static FineTuneOptions WithinMemory(
        DiffusionGemmaConfig config, FineTuneOptions options, ScalarType dtype, int longestRow, RankLayout layout)
    {
        int workers = Workers.CountFor(
            options, layout.Devices[0], Math.Max(1, get_num_threads() / layout.Devices.Count), layout.World, layout.ExpertParallel);
        TrainingPlan Plan() => TrainingPlan.Compute(config, options, dtype, longestRow, layout.World, layout.ExpertParallel, workers);
        long most = options.Run.MemoryBudget
            ?? (long)(ShareOfMemory * GC.GetGCMemoryInfo().TotalAvailableMemoryBytes / layout.Devices.Count);
        while (options.Parallel.Workers is null && workers > 1 && Plan().TotalBytes > most) workers--;
        if (options.Run.MemoryBudget is long budget && Plan() is var plan && plan.TotalBytes > budget)
            throw new MemoryBudgetException(plan, budget);
        foreach (Device device in layout.Devices.Where(device => device.type == TorchSharp.DeviceType.CUDA))
            if (CudaMemory.TryRead(device.index, out CudaMemory memory) && DeviceMemoryNotice.Of(Plan(), device, memory) is { } notice)
                options.Run.Notices?.Report(notice);
        return options with { Parallel = options.Parallel with { Workers = workers } };
    }

    private static string FullPath(string folder) => Path.TrimEndingDirectorySeparator(Path.GetFullPath(folder));

    /// <summary>Finds before the training, not after it, that the trained checkpoint cannot be written. Leaves no folder behind.</summary>
    private static void RequireWritable(string folder)
    {
        bool isNew = !Directory.Exists(folder);
        string probe = Path.Combine(folder, $".write-{Guid.NewGuid():N}");
        try
        {
            Directory.CreateDirectory(folder);
            File.WriteAllBytes(probe, []);
            File.Delete(probe);
            if (isNew) Directory.Delete(folder);
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException)
        {
            throw new IOException(
                $"FineTuneOptions.OutputFolder {folder} cannot be written to ({error.Message}): name another folder.", error);
        }
    }

    private static int[] RequireRows(IReadOnlyList<TrainingExample> examples, FineTuneOptions options, DiffusionGemmaConfig config)
    {
        int[] lengths = TrainingRowChecks.Require(examples, config);
        if (options.Evaluation is { } evaluation)
            TrainingRowChecks.Require(evaluation.Examples, config, "FineTuneOptions.Evaluation.Examples");
        return lengths;
    }

    private static void RequireTrainable(FineTuneOptions options, bool isQuantized, string folder)
    {
        if (isQuantized && options.Lora is null)
            throw new ArgumentException(
                $"The weights of {folder} are quantised, and such weights do not train: set FineTuneOptions.Lora, or name the unquantised "
                + "checkpoint.", nameof(options));
    }

    private static void RequireNoDropoutWithCheckpointing(FineTuneOptions options, LoraAdapter? existing)
    {
        if (options.Run.ActivationCheckpointing && options.Lora is not null && (existing?.Config.Dropout ?? options.Lora.Dropout) > 0)
            throw new ArgumentException(
                "FineTuneOptions.Run.ActivationCheckpointing cannot be used with LoRA dropout, whose draws would not come again: set one "
                    + "of them aside.", nameof(options));
    }

    /// <summary>Computes the optimiser steps of a run.</summary>
    /// <param name="rows">Rows to train on.</param>
    /// <param name="options">How to train.</param>
    /// <exception cref="TrainingException">The rows do not fill a batch, or the warm-up is not shorter than the run.</exception>
    public static int StepCount(int rows, FineTuneOptions options)
    {
        ArgumentNullException.ThrowIfNull(options);
        int stepsPerEpoch = rows / options.GlobalBatchSize;
        if (stepsPerEpoch == 0)
            throw new TrainingException(
                $"{rows} rows do not fill one global batch of {options.GlobalBatchSize}: lower FineTuneOptions.GlobalBatchSize or give "
                    + "more rows.")
            {
                Option = "FineTuneOptions.GlobalBatchSize",
            };
        long epochs = options.Epochs ?? (options.MaxSteps is null ? 1 : int.MaxValue);
        int steps = (int)Math.Min(epochs * stepsPerEpoch, options.MaxSteps ?? int.MaxValue);
        if (options.WarmupSteps is int warmup && warmup >= steps)
        {
            string passes = options.Epochs is int e ? $", {e} {(e == 1 ? "epoch" : "epochs")}" : "";
            throw new TrainingException(
                $"FineTuneOptions.WarmupSteps is {warmup}, but the run has only {steps} {(steps == 1 ? "step" : "steps")} ({rows} rows, "
                + $"batches of {options.GlobalBatchSize}{passes}{(options.MaxSteps is int max ? $", at most {max}" : "")}): "
                + "lower it, leave it out, or train longer.")
            {
                Option = "FineTuneOptions.WarmupSteps",
            };
        }
        return steps;
    }
}
