using System.Diagnostics;
using TorchSharp;
using static TorchSharp.torch;

namespace DiffusionGemma;

/// <summary>One run over its steps: train, record, evaluate, write checkpoints; from the start or from where another stopped.</summary>
internal sealed class TrainingRun(
    DiffusionGemmaModel model, IReadOnlyList<TrainingExample> examples, FineTuneOptions options, IReadOnlyDictionary<string, Tensor> trained, int steps, long seed)
{
    private readonly IReadOnlyList<string> _names = [.. trained.Keys];
    private readonly TrainingStep _work = new(model, options, seed);
    private readonly EpochOrder _order = new(examples.Count, options.GlobalBatchSize, seed, options.Shuffle);
    private readonly LearningRateSchedule _schedule = new(
        options.InitialLearningRate, options.LearningRate, options.MinLearningRate, options.WarmupSteps, steps, options.Decay, options.DecayFraction);

    public List<StepRecord> History { get; } = [];

    public List<EvaluationRecord> Evaluations { get; } = [];

    /// <summary>Trains to the end, or until held-out losses no longer fall.</summary>
    public RunEnd Run(IProgress<StepRecord>? progress, CancellationToken cancellation)
    {
        using var optimizer = new AdamW([.. trained.Values], options.Beta1, options.Beta2, options.AdamEpsilon, options.WeightDecay);
        RunCheckpoint? checkpoint = options.Checkpoints is null
            ? null
            : new RunCheckpoint(options.Checkpoints, RunIdentity.Of(model, examples, options, steps, seed));
        if (checkpoint?.Restore(_names, optimizer) is { } history) History.AddRange(history);
        using var best = new BestWeights(options.Evaluation, optimizer);
        try
        {
            if (options.DryRun && History.Count < steps) DryRun(optimizer, cancellation);
            using var input = new StepProducer(History.Count, steps, Prepare);
            while (History.Count < steps)
            {
                Step(input, optimizer, progress, cancellation);
                int done = History.Count;
                if (options.Evaluation is { } evaluation && (done % evaluation.EverySteps == 0 || done == steps)
                    && best.Stop(Evaluate(evaluation, cancellation)))
                    break;
                if (options.Checkpoints is { } when && (done % when.EverySteps == 0 || done == steps || when.Request?.Take() == true))
                    checkpoint!.Save(done, History, _names, optimizer);
            }
        }
        catch (OperationCanceledException)
        {
            optimizer.DropGradients();
            if (History.Count > 0) checkpoint?.Save(History.Count, History, _names, optimizer);
            if (!options.ReturnOnCancellation) throw;
            return RunEnd.Cancelled;
        }
        best.Restore();
        return History.Count < steps ? RunEnd.StoppedEarly : RunEnd.Finished;
    }

    private void Step(StepProducer input, AdamW optimizer, IProgress<StepRecord>? progress, CancellationToken cancellation)
    {
        var clock = Stopwatch.StartNew();
        using var scope = NewDisposeScope();
        (PreparedStep prepared, TimeSpan waited) = input.Next(cancellation);
        StepLosses losses = _work.Run(prepared, optimizer, cancellation);
        double norm = optimizer.ClipGradients(options.MaxGradientNorm);
        RequireFinite(prepared, losses, norm);
        double rate = _schedule.Rate(prepared.Step);
        optimizer.Step(rate);
        if (options.Lora is null) model.Changed.UnionWith(_names);
        History.Add(new StepRecord
        {
            Step = prepared.Step,
            Epoch = prepared.Epoch,
            Loss = losses.Diffusion + options.EncoderLossWeight * losses.Encoder,
            DiffusionLoss = losses.Diffusion,
            EncoderLoss = losses.Encoder,
            GradientNorm = norm,
            LearningRate = rate,
            Tokens = losses.Tokens,
            WaitSeconds = waited.TotalSeconds,
            Seconds = clock.Elapsed.TotalSeconds,
            PeakBytes = PeakMemory(),
        });
        progress?.Report(History[^1]);
    }

    private PreparedStep Prepare(int step)
    {
        (int epoch, IReadOnlyList<int> rows) = _order.Batch(step);
        return new PreparedStep(step, epoch, rows, [.. rows.Select(r => examples[r])], [.. rows.Select((row, index) => Draw(step, index, examples[row]))]);
    }

    private ExampleDraw Draw(int step, int index, TrainingExample example) => ExampleDraws.Draw(
        seed, step, index, options.GlobalBatchSize, example, model.Config.CanvasLength, model.Config.VocabularySize, options.NoiseFloor,
        options.SelfConditioningProbability);

    /// <summary>The longest rows, both passes: the most memory that a step will ask for.</summary>
    private void DryRun(AdamW optimizer, CancellationToken cancellation)
    {
        TrainingExample[] longest = [.. examples.OrderByDescending(e => e.InputIds.Length).Take(Math.Min(options.MicroBatchSize, options.GlobalBatchSize))];
        var draws = longest.Select((example, index) => Draw(0, index, example) with { Block = 0, SelfConditioned = options.SelfConditioningProbability > 0 });
        try
        {
            using var scope = NewDisposeScope();
            _work.Run(new PreparedStep(0, 0, [], longest, [.. draws]), optimizer, cancellation);
        }
        catch (System.Runtime.InteropServices.ExternalException e)
        {
            throw new TrainingException(
                $"A pass over the longest row ({longest[0].InputIds.Length} tokens) failed before step 0: {e.Message.Split('\n')[0]} If memory ran out, lower "
                + "FineTuneOptions.MicroBatchSize or PackCanvas' maxLength, or use LoRA.", e);
        }
        optimizer.DropGradients();
    }

    private EvaluationRecord Evaluate(EvaluationOptions evaluation, CancellationToken cancellation)
    {
        model.Adapter?.Train(false);
        try
        {
            Evaluations.Add(HeldOutEvaluation.Run(model, evaluation.Examples, seed, History.Count, cancellation));
        }
        finally
        {
            model.Adapter?.Train(true);
        }
        return Evaluations[^1];
    }

    private static void RequireFinite(PreparedStep step, StepLosses losses, double norm)
    {
        string? term = !double.IsFinite(losses.Diffusion) ? "diffusion loss" : !double.IsFinite(losses.Encoder) ? "encoder loss" : !double.IsFinite(norm) ? "gradient norm" : null;
        if (term is not null)
            throw new TrainingException($"Step {step.Step}: the {term} is not a finite number (rows {string.Join(", ", step.Rows)}). The weights stand as of the step before. Lower the learning rate, or look at those rows.");
    }

    private static long PeakMemory()
    {
        using Process process = Process.GetCurrentProcess();
        return process.PeakWorkingSet64;
    }
}
