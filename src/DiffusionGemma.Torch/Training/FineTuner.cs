using TorchSharp;
using static TorchSharp.torch;

namespace DiffusionGemma;

/// <summary>Fine-tunes a model on one device.</summary>
public static class FineTuner
{
    /// <summary>Trains the model in place: its weights, or (LoRA) an adapter that is then set on it.</summary>
    /// <param name="model">Trained where it is, in the dtype it was loaded as; below float32, float32 master weights are kept beside it. Where
    /// <see cref="FineTuneOptions.Lora"/> is set and the model has an adapter already, that adapter is trained further, with its own rank, scale,
    /// modules and dropout.</param>
    /// <param name="examples">Packed rows (<see cref="CanvasPacking"/>).</param>
    /// <param name="options">How to train.</param>
    /// <param name="progress">Told after every step, on the calling thread's own terms (<see cref="Progress{T}"/> posts).</param>
    /// <param name="cancellation">Looked at between micro-batches; the model then stands as of its last whole step, of which a checkpoint is
    /// written where <see cref="FineTuneOptions.Checkpoints"/> is set.</param>
    /// <exception cref="TrainingException">The rows cannot be trained on, a loss or gradient is no longer a finite number, a checkpoint cannot be resumed, or
    /// its folder is in use.</exception>
    /// <exception cref="MemoryBudgetException">The run needs more than <see cref="FineTuneOptions.MemoryBudget"/>.</exception>
    /// <exception cref="ArgumentException">An option is out of range, or a LoRA target matches nothing.</exception>
    /// <exception cref="OperationCanceledException">Cancelled, without <see cref="FineTuneOptions.ReturnOnCancellation"/>.</exception>
    public static FineTuneResult Fit(
        DiffusionGemmaModel model, IReadOnlyList<TrainingExample> examples, FineTuneOptions options, IProgress<StepRecord>? progress = null,
        CancellationToken cancellation = default)
    {
        options.Validate();
        int[] lengths = TrainingRowChecks.Require(examples, model.Config);
        options.Evaluation?.Validate(model.Config);
        if (options.Lora is null && model.Adapter is not null)
            throw new TrainingException(
                "The model has an adapter, and weights trained under it would suit no other: call LoraAdapter.MergeInto or set DiffusionGemmaModel.Adapter to null "
                + "for full fine-tuning, or set FineTuneOptions.Lora to train the adapter further.");
        if (options.ActivationCheckpointing && options.Lora is not null && (model.Adapter?.Config.Dropout ?? options.Lora.Dropout) > 0)
            throw new ArgumentException("FineTuneOptions.ActivationCheckpointing cannot be used with LoRA dropout, whose draws would not come again: set one of them aside.", nameof(options));
        RequireMemory(model.Config, options, model.DType, lengths.Max());
        long seed = options.Seed ?? FineTuneOptions.DefaultSeed;
        int steps = StepCount(examples.Count, options);

        LoraAdapter? created = options.Lora is not null && model.Adapter is null ? LoraAdapter.Create(model, options.Lora, seed) : null;
        if (created is not null) model.Adapter = created;
        LoraAdapter? adapter = options.Lora is null ? null : model.Adapter;
        var trained = adapter is null ? FullParameters(model) : adapter.Parameters().ToDictionary(p => p.Key, p => p.Value);
        var run = new TrainingRun(model, examples, lengths, options, trained, steps, seed);
        bool finished = false;
        RunEnd end;
        try
        {
            foreach (Tensor parameter in trained.Values) parameter.requires_grad_(true);
            adapter?.Train(true);
            model.Stack.RecomputesActivations = options.ActivationCheckpointing;
            end = run.Run(progress, cancellation);
            finished = true;
        }
        finally
        {
            adapter?.Train(false);
            model.Stack.RecomputesActivations = false;
            foreach (Tensor parameter in trained.Values)
            {
                parameter.grad = null;
                parameter.requires_grad_(false);
            }
            if (!finished && created is not null)
            {
                model.Adapter = null;
                created.Dispose();
            }
        }
        return new FineTuneResult(
            [.. run.History], adapter, adapter?.Modules ?? [.. trained.Keys], trained.Values.Sum(p => p.numel()), run.History.Evaluations, run.Notices, end);
    }

    /// <summary>Losses on rows that are not trained on; nothing is changed.</summary>
    /// <param name="model">The model, with or without an adapter.</param>
    /// <param name="examples">Packed rows.</param>
    /// <param name="seed">What the corruption follows from.</param>
    /// <param name="cancellation">Looked at between rows.</param>
    /// <exception cref="TrainingException">A row is malformed, or there is none.</exception>
    public static EvaluationRecord Evaluate(
        DiffusionGemmaModel model, IReadOnlyList<TrainingExample> examples, int seed = FineTuneOptions.DefaultSeed, CancellationToken cancellation = default)
    {
        TrainingRowChecks.Require(examples, model.Config);
        return HeldOutEvaluation.Run(model, examples, seed, step: 0, cancellation);
    }

    /// <exception cref="MemoryBudgetException">The run needs more than <see cref="FineTuneOptions.MemoryBudget"/>.</exception>
    internal static void RequireMemory(DiffusionGemmaConfig config, FineTuneOptions options, ScalarType dtype, int longestRow)
    {
        if (options.MemoryBudget is not long budget) return;
        var plan = TrainingPlan.Of(config, options, dtype, longestRow);
        if (plan.TotalBytes > budget) throw new MemoryBudgetException(plan, budget);
    }

    /// <summary>Whether full fine-tuning trains a tensor: everything but the routers and the layer scalars.</summary>
    internal static bool Trains(string name) =>
        !name.Contains(".router.", StringComparison.Ordinal) && !name.EndsWith(".layer_scalar", StringComparison.Ordinal);

    private static Dictionary<string, Tensor> FullParameters(DiffusionGemmaModel model) =>
        model.Stack.Parameters.Where(p => Trains(p.Key)).ToDictionary(p => p.Key, p => p.Value);

    private static int StepCount(int rows, FineTuneOptions options)
    {
        int stepsPerEpoch = rows / options.GlobalBatchSize;
        if (stepsPerEpoch == 0)
            throw new TrainingException($"{rows} rows do not fill one global batch of {options.GlobalBatchSize}: lower FineTuneOptions.GlobalBatchSize or give more rows.");
        int steps = (int)Math.Min((long)options.Epochs * stepsPerEpoch, options.MaxSteps ?? int.MaxValue);
        if (options.WarmupSteps >= steps)
            throw new TrainingException(
                $"FineTuneOptions.WarmupSteps is {options.WarmupSteps}, but the run has only {steps} steps ({rows} rows, batches of {options.GlobalBatchSize}, "
                + $"{options.Epochs} epochs{(options.MaxSteps is int max ? $", at most {max}" : "")}): lower it, or train longer.");
        return steps;
    }
}
