using System.Diagnostics;

namespace DiffusionGemma;

/// <summary>
/// One run over its steps on one rank, from the start or from a checkpoint. Each rank has a run of its own, which comes to the same
/// numbers; the first writes files and reports to listeners.
/// </summary>
/// <param name="model">Trained in place; this rank's part.</param>
/// <param name="examples">The rows.</param>
/// <param name="lengths">Tokens of each row.</param>
/// <param name="options">How to train.</param>
/// <param name="trained">The parameters that train.</param>
/// <param name="steps">Steps of the whole run.</param>
/// <param name="seed">The run's seed.</param>
/// <param name="ranks">The groups that this rank trains in.</param>
/// <param name="reports">True on the one rank of a process that fills the caller's history.</param>
/// <param name="progress">Receives a record after every step.</param>
internal sealed class TrainingRun(
    DiffusionGemmaModel model, IReadOnlyList<TrainingExample> examples, int[] lengths, FineTuneOptions options,
    IReadOnlyList<TrainedParameter> trained, int steps, long seed, RankGroups ranks, bool reports, IProgress<StepRecord>? progress)
{
    public RunHistory History { get; } = reports && options.History is { } history ? history : new RunHistory();

    public List<string> Notices { get; } = [];

    /// <summary>Trains to the end, or until held-out losses no longer fall. A collective.</summary>
    public RunEnd Run(CancellationToken requested)
    {
        using Activity? activity = reports ? DiffusionGemmaTelemetry.Activities.StartActivity("diffusiongemma.fit") : null;
        activity?.SetTag("diffusiongemma.fit.steps", steps);
        activity?.SetTag("diffusiongemma.fit.rows", examples.Count);
        if (options.MaxSteps is int most && steps < most)
            Notify(
                $"FineTuneOptions.Epochs is {options.Epochs}: the run ends after {steps} of the {most} steps of FineTuneOptions.MaxSteps. "
                + "Leave FineTuneOptions.Epochs out for as many passes over the rows as they take.");
        OptimizerOptions adamW = options.Optimizer;
        using var optimizer = new AdamW(trained, ranks, adamW.Beta1, adamW.Beta2, adamW.AdamEpsilon, adamW.WeightDecay);
        using var workers = new Workers(options, model, ranks);
        using var best = new BestWeights(options.Evaluation, optimizer);
        using RunCheckpoint? checkpoint = OpenCheckpoint(optimizer, best);
        RunState? resumed = checkpoint?.Restore();
        if (resumed is not null && options.Lora is null) model.Changed.UnionWith(trained.Select(p => p.Name));    // even if no step is left
        History.Start(resumed?.History ?? [], resumed?.Evaluations ?? [], steps);

        using var cancellation = new CancellationCallback(ranks, requested);
        var step = new TrainingStep(model, trained, options, steps, seed, ranks, optimizer, workers);
        var batches = new GlobalBatches(examples, options, model.Config, seed);
        var callbacks = new List<IRunCallback>();
        if (options.Run.DryRun)
            callbacks.Add(new DryRunCallback(examples, lengths, options, ranks, batches, step, optimizer, cancellation.Token));
        callbacks.Add(cancellation);
        if (options.Evaluation is not null)
            callbacks.Add(new EvaluationCallback(
                model, options.Evaluation, seed, ranks, best, cancellation, CreateAnswers(options.Evaluation)));
        if (checkpoint is not null)
            callbacks.Add(new CheckpointCallback(
                checkpoint, options.Checkpoints!, options.Run.ReturnOnCancellation, ranks, takesRequests: reports, Notify));
        if (reports) callbacks.Add(new TelemetryCallback());
        callbacks.Add(new ProgressCallback(progress, cancellation));

        var run = new RunProgress(steps, History);
        var loop = new TrainingLoop(run, step, batches.Prepare, callbacks);
        try
        {
            loop.Run(cancellation.Token);
        }
        catch (OperationCanceledException e) when (ranks.EndTogether)
        {
            optimizer.DropGradients();
            // an error from here on is one rank's failure
            ranks.EndTogether = false;
            loop.End(RunEnd.Cancelled);
            if (options.Run.ReturnOnCancellation) return RunEnd.Cancelled;
            ranks.EndTogether = true;
            cancellation.Throw(e);
        }
        RunEnd end = run.StepsDone < steps ? RunEnd.StoppedEarly : RunEnd.Finished;
        loop.End(end);
        return end;
    }

    private HeldOutAnswers? CreateAnswers(EvaluationOptions evaluation)
    {
        if (evaluation.Answers == 0) return null;
        if (ranks.Experts.Size == 1) return new HeldOutAnswers(model, evaluation, seed, ranks);
        Notify(
            $"FineTuneOptions.Evaluation.Answers is {evaluation.Answers}, but experts are split over {ranks.Experts.Size} devices, and "
            + "answers need all of them on one: evaluations have losses alone.");
        return null;
    }

    private RunCheckpoint? OpenCheckpoint(AdamW optimizer, BestWeights best)
    {
        if (options.Checkpoints is null) return null;
        var identity = RunIdentity.Describe(model, examples, options, steps, seed);
        return new RunCheckpoint(options.Checkpoints, identity, trained, optimizer, best, Notify, ranks);
    }

    /// <summary>Reports a message of the run, on the first rank.</summary>
    public void Notify(string notice)
    {
        if (!ranks.IsFirst) return;
        Notices.Add(notice);
        options.Run.Notices?.Report(notice);
    }
}
