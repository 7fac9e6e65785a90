using System.Diagnostics;
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
    /// <param name="cancellation">Looked at between micro-batches; the model then stands as of its last whole step.</param>
    /// <exception cref="TrainingException">The rows cannot be trained on, or a loss or gradient is no longer a finite number.</exception>
    /// <exception cref="ArgumentException">An option is out of range, or a LoRA target matches nothing.</exception>
    /// <exception cref="OperationCanceledException">Cancelled.</exception>
    public static FineTuneResult Fit(
        DiffusionGemmaModel model, IReadOnlyList<TrainingExample> examples, FineTuneOptions options, IProgress<StepRecord>? progress = null,
        CancellationToken cancellation = default)
    {
        options.Validate();
        Validate(examples, model.Config);
        if (options.Lora is null && model.Adapter is not null)
            throw new TrainingException(
                "The model has an adapter, and weights trained under it would suit no other: call LoraAdapter.MergeInto or set DiffusionGemmaModel.Adapter to null "
                + "for full fine-tuning, or set FineTuneOptions.Lora to train the adapter further.");
        long seed = options.Seed ?? FineTuneOptions.DefaultSeed;
        var order = new EpochOrder(examples.Count, options.GlobalBatchSize, seed, options.Shuffle);
        int steps = StepCount(order, examples.Count, options);
        var schedule = new LearningRateSchedule(
            options.InitialLearningRate, options.LearningRate, options.MinLearningRate, options.WarmupSteps, steps);

        LoraAdapter? created = options.Lora is not null && model.Adapter is null ? LoraAdapter.Create(model, options.Lora, seed) : null;
        if (created is not null) model.Adapter = created;
        LoraAdapter? adapter = options.Lora is null ? null : model.Adapter;
        var trained = adapter is null ? FullParameters(model) : adapter.Parameters().ToDictionary(p => p.Key, p => p.Value);
        var history = new List<StepRecord>();
        bool finished = false;
        try
        {
            foreach (Tensor parameter in trained.Values) parameter.requires_grad_(true);
            adapter?.Train(true);
            using var optimizer = new AdamW([.. trained.Values], options.Beta1, options.Beta2, options.AdamEpsilon, options.WeightDecay);
            var work = new TrainingStep(model, options, seed);
            for (int step = 0; step < steps; step++)
            {
                var clock = Stopwatch.StartNew();
                using var scope = NewDisposeScope();
                (int epoch, IReadOnlyList<int> rows) = order.Batch(step);
                StepLosses losses = work.Run(step, [.. rows.Select(r => examples[r])], optimizer, cancellation);
                double norm = optimizer.ClipGradients(options.MaxGradientNorm);
                RequireFinite(step, rows, losses, norm);
                double rate = schedule.Rate(step);
                optimizer.Step(rate);
                if (adapter is null) model.Changed.UnionWith(trained.Keys);

                history.Add(new StepRecord
                {
                    Step = step,
                    Epoch = epoch,
                    Loss = losses.Diffusion + options.EncoderLossWeight * losses.Encoder,
                    DiffusionLoss = losses.Diffusion,
                    EncoderLoss = losses.Encoder,
                    GradientNorm = norm,
                    LearningRate = rate,
                    Tokens = losses.Tokens,
                    Seconds = clock.Elapsed.TotalSeconds,
                    PeakBytes = PeakMemory(),
                });
                progress?.Report(history[^1]);
            }
            finished = true;
        }
        finally
        {
            adapter?.Train(false);
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
            history, adapter, adapter?.Modules ?? [.. trained.Keys], trained.Values.Sum(p => p.numel()));
    }

    /// <summary>The losses that training would see on these rows, with noise drawn as for the first step of a run; nothing is changed.</summary>
    /// <param name="model">The model, with or without an adapter.</param>
    /// <param name="examples">Packed rows; all of them count as one batch.</param>
    /// <param name="options">Seed, probabilities and micro-batch size are used.</param>
    /// <param name="cancellation">Looked at between micro-batches.</param>
    /// <returns>Mean cross-entropies in nats a token: of one drawn canvas a row, and of the encoder's next-token prediction.</returns>
    /// <exception cref="TrainingException">A row is malformed, or there is none.</exception>
    public static (double DiffusionLoss, double EncoderLoss) Evaluate(
        DiffusionGemmaModel model, IReadOnlyList<TrainingExample> examples, FineTuneOptions? options = null, CancellationToken cancellation = default)
    {
        options ??= new FineTuneOptions();
        options.Validate();
        Validate(examples, model.Config);
        StepLosses losses = new TrainingStep(model, options, options.Seed ?? FineTuneOptions.DefaultSeed).Run(0, examples, null, cancellation);
        return (losses.Diffusion, losses.Encoder);
    }

    /// <summary>Everything but the routers and the layer scalars.</summary>
    private static Dictionary<string, Tensor> FullParameters(DiffusionGemmaModel model) =>
        model.Stack.Parameters
            .Where(p => !p.Key.Contains(".router.", StringComparison.Ordinal) && !p.Key.EndsWith(".layer_scalar", StringComparison.Ordinal))
            .ToDictionary(p => p.Key, p => p.Value);

    private static int StepCount(EpochOrder order, int rows, FineTuneOptions options)
    {
        if (order.StepsPerEpoch == 0)
            throw new TrainingException($"{rows} rows do not fill one global batch of {options.GlobalBatchSize}: lower FineTuneOptions.GlobalBatchSize or give more rows.");
        long all = (long)options.Epochs * order.StepsPerEpoch;
        int steps = (int)Math.Min(Math.Min(all, options.MaxSteps ?? int.MaxValue), int.MaxValue);
        if (options.WarmupSteps >= steps)
            throw new TrainingException(
                $"FineTuneOptions.WarmupSteps is {options.WarmupSteps}, but the run has only {steps} steps ({rows} rows, batches of {options.GlobalBatchSize}, "
                + $"{options.Epochs} epochs{(options.MaxSteps is int max ? $", at most {max}" : "")}): lower it, or train longer.");
        return steps;
    }

    private static void Validate(IReadOnlyList<TrainingExample> examples, DiffusionGemmaConfig config)
    {
        if (examples.Count == 0) throw new TrainingException("There are no rows to train on.");
        for (int row = 0; row < examples.Count; row++)
        {
            TrainingExample example = examples[row];
            int length = example.InputIds.Length;
            string? fault =
                length > config.MaxPositionEmbeddings ? $"has {length} tokens, more than the model's {config.MaxPositionEmbeddings} positions"
                : length < 2 ? $"has {length} tokens, too few"
                : example.LossMask.Length != length ? $"has {length} ids but {example.LossMask.Length} mask values"
                : example.PrefixLength < 0 || example.PrefixLength >= length ? $"has its first canvas at {example.PrefixLength}, outside its {length} tokens"
                : example.PaddedLength < length ? $"has a padded length of {example.PaddedLength}, less than its {length} tokens"
                : !example.LossMask.Contains(true) ? "has no supervised token"
                : example.InputIds.Any(id => id < 0 || id >= config.VocabularySize)
                    ? $"has an id outside the vocabulary of {config.VocabularySize}: is it tokenized for another checkpoint?"
                    : null;
            if (fault is not null) throw new TrainingException($"Row {row} {fault}.");
        }
    }

    private static void RequireFinite(int step, IReadOnlyList<int> rows, StepLosses losses, double norm)
    {
        string? term = !double.IsFinite(losses.Diffusion) ? "diffusion loss" : !double.IsFinite(losses.Encoder) ? "encoder loss" : !double.IsFinite(norm) ? "gradient norm" : null;
        if (term is not null)
            throw new TrainingException($"Step {step}: the {term} is not a finite number (rows {string.Join(", ", rows)}). The weights stand as of the step before. Lower the learning rate, or look at those rows.");
    }

    private static long PeakMemory()
    {
        using Process process = Process.GetCurrentProcess();
        return process.PeakWorkingSet64;
    }
}
