using System.Diagnostics;
using System.Runtime.ExceptionServices;
using static TorchSharp.torch;

namespace DiffusionGemma;

/// <summary>
/// One run over its steps: train, record, evaluate, write checkpoints; from the start or from where another stopped. Of several ranks each has a run of
/// its own, which comes to the same numbers; the first one writes files.
/// </summary>
/// <param name="model">Trained in place; this rank's part.</param>
/// <param name="examples">The rows.</param>
/// <param name="lengths">Tokens of each row.</param>
/// <param name="options">How to train.</param>
/// <param name="trained">What trains.</param>
/// <param name="steps">Steps of the whole run.</param>
/// <param name="seed">Where every draw starts.</param>
/// <param name="ranks">Who trains together.</param>
/// <param name="reports">Whether this rank fills the caller's history: of those in one process, one does. The first of all tells listeners too.</param>
/// <param name="progress">Told after every step.</param>
internal sealed class TrainingRun(
    DiffusionGemmaModel model, IReadOnlyList<TrainingExample> examples, int[] lengths, FineTuneOptions options, IReadOnlyList<TrainedParameter> trained, int steps, long seed,
    RankGroups ranks, bool reports, IProgress<StepRecord>? progress)
{
    private readonly EpochOrder _order = new(examples.Count, options.GlobalBatchSize, seed, options.Run.Shuffle);
    private readonly LearningRateSchedule _schedule = new(
        options.Optimizer.InitialLearningRate, options.LearningRate, options.Optimizer.MinLearningRate, options.WarmupSteps, steps, options.Optimizer.Decay, options.Optimizer.DecayFraction);

    private OperationCanceledException? _interruption;

    public RunHistory History { get; } = reports && options.History is { } history ? history : new RunHistory();

    public List<string> Notices { get; } = [];

    /// <summary>Trains to the end, or until held-out losses no longer fall. A collective.</summary>
    public RunEnd Run(CancellationToken cancellation)
    {
        using var stop = CancellationTokenSource.CreateLinkedTokenSource(cancellation);
        using var optimizer = new AdamW(trained, ranks, options.Optimizer.Beta1, options.Optimizer.Beta2, options.Optimizer.AdamEpsilon, options.Optimizer.WeightDecay);
        using var workers = new Workers(options, model, ranks);
        var work = new TrainingStep(model, options, seed, ranks, optimizer, workers);
        using var best = new BestWeights(options.Evaluation, optimizer);
        using RunCheckpoint? checkpoint = options.Checkpoints is null
            ? null
            : new RunCheckpoint(options.Checkpoints, RunIdentity.Of(model, examples, options, steps, seed), trained, optimizer, best, Note, ranks);
        RunState? state = checkpoint?.Restore();
        if (state is not null && options.Lora is null) model.Changed.UnionWith(trained.Select(p => p.Name));      // even if no step is left to do
        History.Start(state?.History ?? [], state?.Evaluations ?? []);
        try
        {
            using var input = new StepProducer(History.Count, steps, Prepare);
            if (options.Run.DryRun && History.Count < steps) DryRun(work, optimizer, stop.Token);
            while (true)
            {
                int done = History.Count;
                ranks.ThrowIfAnyCancelled(stop.Token);
                if (done > 0 && options.Evaluation is { } evaluation && (done % evaluation.EverySteps == 0 || done == steps) && History.Evaluations.LastOrDefault()?.Step != done)
                    best.Note(Evaluate(evaluation, stop));
                bool over = done == steps || best.Stopped;
                if (done > 0 && options.Checkpoints is { } when && (ranks.Any(reports && when.Request?.Take() == true) || done % when.EverySteps == 0 || over))
                    TrySave(checkpoint!);
                if (over) break;
                Step(work, input, optimizer, stop);
            }
        }
        catch (OperationCanceledException e) when (ranks.EndTogether)
        {
            optimizer.DropGradients();
            ranks.EndTogether = false;                                                         // what fails from here on is a failure
            if (options.Run.ReturnOnCancellation)
            {
                TrySave(checkpoint);
                return RunEnd.Cancelled;
            }
            if (History.Count > 0) checkpoint?.Save(History);
            ranks.EndTogether = true;
            if (_interruption is not null) ExceptionDispatchInfo.Throw(_interruption);
            throw new OperationCanceledException(e.Message, e, cancellation);
        }
        best.Restore();
        return History.Count < steps ? RunEnd.StoppedEarly : RunEnd.Finished;
    }

    /// <summary>A listener that cancels (as a cancelled MLContext does) ends the run where all ranks end it, and not one alone where it stands.</summary>
    private void Tell<T>(IProgress<T>? listener, T record, CancellationTokenSource stop)
    {
        if (!ranks.IsFirst) return;
        try
        {
            listener?.Report(record);
        }
        catch (OperationCanceledException e)
        {
            _interruption = e;
            stop.Cancel();
        }
    }

    private void Step(TrainingStep work, StepProducer input, AdamW optimizer, CancellationTokenSource stop)
    {
        var clock = Stopwatch.StartNew();
        using var scope = NewDisposeScope();
        (PreparedStep prepared, TimeSpan waited) = input.Next();
        StepLosses losses = work.Run(prepared, stop.Token);
        double norm = optimizer.ClipGradients(options.Optimizer.MaxGradientNorm);
        RequireFinite(prepared, losses, norm);
        double rate = _schedule.Rate(prepared.Step);
        ranks.World.Activity = $"step {prepared.Step}, optimiser";
        optimizer.Step(rate);
        if (options.Lora is null) model.Changed.UnionWith(trained.Select(p => p.Name));
        var record = new StepRecord
        {
            Step = prepared.Step,
            Epoch = prepared.Epoch,
            Loss = losses.Diffusion + options.Objective.EncoderLossWeight * losses.Encoder,
            DiffusionLoss = losses.Diffusion,
            EncoderLoss = losses.Encoder,
            GradientNorm = norm,
            LearningRate = rate,
            Tokens = losses.Tokens,
            WaitSeconds = waited.TotalSeconds,
            Seconds = clock.Elapsed.TotalSeconds,
            PeakBytes = PeakMemory(),
        };
        History.Add(record);
        Tell(progress, record, stop);
    }

    /// <summary>A checkpoint that cannot be written ends no run: what trained so far would be lost with it. The next one is tried in its turn.</summary>
    private void TrySave(RunCheckpoint? checkpoint)
    {
        if (checkpoint is null || History.Count == 0) return;
        try
        {
            checkpoint.Save(History);
        }
        catch (TrainingException e)
        {
            Note($"{e.Message} The run goes on without it.");
        }
    }

    private void Note(string notice)
    {
        if (!ranks.IsFirst) return;
        Notices.Add(notice);
        options.Run.Notices?.Report(notice);
    }

    private PreparedStep Prepare(int step)
    {
        (int epoch, IReadOnlyList<int> rows) = _order.Batch(step);
        TrainingExample[] batch;
        lock (examples) batch = [.. rows.Select(row => examples[row])];                          // ranks of this process read the same rows
        return new PreparedStep(step, epoch, rows, batch, [.. batch.Select((example, index) => Draw(step, index, example))]);
    }

    private ExampleDraw Draw(int step, int index, TrainingExample example) => ExampleDraws.Draw(
        seed, step, index, options.GlobalBatchSize, example, model.Config.CanvasLength, model.Config.VocabularySize, options.Objective.NoiseFloor,
        options.Objective.SelfConditioningProbability);

    /// <summary>On every rank, both passes over the longest row and those that would go with it, and over the most padded tokens that go together: the most memory that a step will ask for.</summary>
    private void DryRun(TrainingStep work, AdamW optimizer, CancellationToken cancellation)
    {
        int mostRows = Math.Min(options.Run.MicroBatchSize, (options.GlobalBatchSize + ranks.World.Size - 1) / ranks.World.Size);
        IReadOnlyList<int[]> together = MicroBatchPlan.Split(lengths, mostRows, options.Run.MicroBatchTokens);
        int Longest(int[] rows) => rows.Max(row => lengths[row]);
        int[][] most = [together.MaxBy(Longest)!, together.MaxBy(rows => (long)rows.Length * Longest(rows))!];
        foreach (int[] rows in most.Distinct())
            try
            {
                using var scope = NewDisposeScope();
                TrainingExample[] batch = [.. rows.Select(row => examples[row])];
                var draws = batch.Select((example, index) => Draw(0, index, example) with { Block = 0, SelfConditioned = options.Objective.SelfConditioningProbability > 0 });
                work.RunEverywhere(new PreparedStep(0, 0, rows, batch, [.. draws]), cancellation);
            }
            catch (System.Runtime.InteropServices.ExternalException e)
            {
                throw new TrainingException(
                    $"A pass over {rows.Length} rows of at most {Longest(rows)} tokens failed before step 0: {e.Message.Split('\n')[0]} If memory ran out, lower "
                    + "FineTuneOptions.Run.MicroBatchSize or PackCanvas' maxLength, or use LoRA.", e);
            }
        optimizer.DropGradients();
    }

    private EvaluationRecord Evaluate(EvaluationOptions evaluation, CancellationTokenSource stop)
    {
        EvaluationRecord record = HeldOutEvaluation.Run(model, evaluation.Examples, seed, History.Count, ranks, stop.Token);
        History.Add(record);
        Tell(evaluation.Progress, record, stop);
        return record;
    }

    /// <summary>All ranks have the same numbers.</summary>
    private void RequireFinite(PreparedStep step, StepLosses losses, double norm)
    {
        string? term = !double.IsFinite(losses.Diffusion) ? "diffusion loss" : !double.IsFinite(losses.Encoder) ? "encoder loss" : !double.IsFinite(norm) ? "gradient norm" : null;
        if (term is null) return;
        ranks.EndTogether = true;
        throw new TrainingException($"Step {step.Step}: the {term} is not a finite number (rows {string.Join(", ", step.Rows)}). The weights stand as of the step before. Lower the learning rate, or look at those rows.");
    }

    private static long PeakMemory()
    {
        using Process process = Process.GetCurrentProcess();
        return process.PeakWorkingSet64;
    }
}
