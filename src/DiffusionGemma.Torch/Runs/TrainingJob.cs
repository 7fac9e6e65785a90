using System.Runtime.ExceptionServices;
using static TorchSharp.torch;

namespace DiffusionGemma;

/// <summary>One call of <see cref="FineTuner"/>: the run of every rank, and one result made of the parts that ranks have trained.</summary>
/// <param name="Examples">The rows.</param>
/// <param name="Lengths">Tokens of each row.</param>
/// <param name="Options">How to train.</param>
/// <param name="Steps">Steps of the whole run.</param>
/// <param name="Progress">Receives a record after every step.</param>
/// <param name="Cancellation">Checked between micro-batches.</param>
internal sealed record TrainingJob(
    IReadOnlyList<TrainingExample> Examples, int[] Lengths, FineTuneOptions Options, int Steps, IProgress<StepRecord>? Progress,
    CancellationToken Cancellation)
{
    /// <summary>Wraps each rank's group of all ranks, to count or to disturb its collectives; null: the group itself.</summary>
    public Func<IProcessGroup, IProcessGroup>? Observe { get; init; }

    private long Seed => Options.Seed ?? Seeds.Default;

    /// <summary>Trains a model in place, on one rank.</summary>
    public FineTuneResult InPlace(DiffusionGemmaModel model)
    {
        LoraAdapter? created = Options.Lora is not null && model.Adapter is null ? LoraAdapter.Create(model, Options.Lora, Seed) : null;
        try
        {
            if (created is not null) model.Adapter = created;
            (TrainingRun run, RunEnd end) = Train(model, RankGroups.Single(model.Device), reports: true);
            return Result(run, end, model, Options.Lora is null ? null : model.Adapter);
        }
        catch when (created is not null)
        {
            model.Adapter = null;
            created.Dispose();
            throw;
        }
    }

    /// <summary>
    /// Loads a checkpoint and trains it on one rank. The model is in the result where it answers as what was trained and saved.
    /// </summary>
    public FineTuneResult OnOneRank(string folder, Device device, ScalarType precision)
    {
        var model = DiffusionGemmaModel.Load(folder, device, precision, Options.Quantization);
        try
        {
            FineTuneResult result = InPlace(model);
            if (Options.Lora is not null) return result.With(model);
            model.Save(Path.GetFullPath(Options.OutputFolder!));
            if (model.DType == model.Config.DType) return result.With(model);
            // the folder's weights are rounded to the checkpoint's dtype
            model.Dispose();
            return result;
        }
        catch
        {
            LoraAdapter? adapter = model.Adapter;
            model.Dispose();
            adapter?.Dispose();
            throw;
        }
    }

    /// <summary>Trains parts of a model on several ranks and copies the trained values back.</summary>
    public FineTuneResult OnRanks(RankLayout layout, DiffusionGemmaModel model)
    {
        FineTuneResult? result = null;
        LoraAdapter? collected = null;
        Func<LoraAdapter, FineTuneResult>? finish = null;
        Func<string, bool> trains = name => Options.Lora is null && FullFineTuning.Trains(name);
        Run(layout, model.Config, model.DType, (ranks, reports) =>
        {
            using DiffusionGemmaModel share = model.Share(ranks.Device, ranks.Experts, trains);
            using LoraAdapter? adapter = AdapterOf(share, model.Adapter, ranks);
            share.Adapter = adapter;
            (TrainingRun run, RunEnd end) = Train(share, ranks, reports);
            ranks.World.Activity = "collecting what was trained";
            if (adapter is null)
            {
                TrainedParts.CopyTo(share, ranks, reports ? model : null);
                if (reports) result = Result(run, end, model, null);
            }
            else if (TrainedParts.GatherAdapter(adapter, ranks, model.Device, reports) is { } whole)
            {
                (collected, finish) = (whole, kept => Result(run, end, model, kept));
            }
        }, () => collected?.Dispose());
        // the model changes when all ranks are done
        return result ?? finish!(TrainedParts.SetAdapter(collected!, model));
    }

    /// <summary>Trains a checkpoint on several ranks, which each read their part, into one adapter or one folder.</summary>
    public FineTuneResult OnRanks(RankLayout layout, Checkpoint checkpoint, ScalarType precision)
    {
        FineTuneResult? result = null;
        Run(layout, checkpoint.Config, precision, (ranks, reports) =>
        {
            using DiffusionGemmaModel share =
                DiffusionGemmaModel.LoadShare(checkpoint, ranks.Device, precision, ranks.Experts, Options.Quantization);
            using LoraAdapter? adapter = AdapterOf(share, null, ranks);
            share.Adapter = adapter;
            (TrainingRun run, RunEnd end) = Train(share, ranks, reports);
            ranks.World.Activity = "collecting what was trained";
            LoraAdapter? whole = adapter is null ? null : TrainedParts.GatherAdapter(adapter, ranks, CPU, reports);
            if (adapter is null) TrainedParts.Save(share, ranks, Options.OutputFolder!);
            if (reports) result = Result(run, end, share, whole);
        }, () => result?.Dispose());
        return result!;
    }

    /// <summary>A rank's part of a given adapter, or of a new one; null in full fine-tuning.</summary>
    private LoraAdapter? AdapterOf(DiffusionGemmaModel share, LoraAdapter? existing, RankGroups ranks)
    {
        if (Options.Lora is null) return null;
        return existing is null
            ? LoraAdapter.Create(share, Options.Lora, Seed)
            : existing.Map(
                (tensor, slice) => slice.Select(tensor, ranks.Experts).to(ranks.Device).clone(), experts => experts / ranks.Experts.Size);
    }

    private void Run(RankLayout layout, DiffusionGemmaConfig config, ScalarType dtype, Action<RankGroups, bool> body, Action? failed = null)
    {
        if (layout.First == 0)
            Options.Run.Notices?.Report(
                layout.Describe(TrainingPlan.Compute(config, Options, dtype, Lengths.Max(), layout.World, layout.ExpertParallel)));
        IReadOnlyList<IProcessGroup> groups = layout.Connect(Options.Parallel.CollectiveTimeout);
        if (Observe is { } observe) groups = [.. groups.Select(observe)];
        ExceptionDispatchInfo? together = null;
        try
        {
            LocalRanks.Run(groups, Math.Max(1, get_num_threads() / groups.Count), world =>
            {
                int local = groups.Index().First(g => ReferenceEquals(g.Item, world)).Index;
                using var ranks = RankGroups.Split(layout.Devices[local], world, layout.ExpertParallel);
                try
                {
                    body(ranks, local == 0);
                }
                catch (Exception e) when (ranks.EndTogether)
                {
                    if (local == 0) together = ExceptionDispatchInfo.Capture(e);
                }
                world.Activity = "the end";
                world.Barrier();
            });
            together?.Throw();
        }
        catch
        {
            failed?.Invoke();
            throw;
        }
        finally
        {
            foreach (IProcessGroup group in groups) group.Dispose();
        }
    }

    private (TrainingRun Run, RunEnd End) Train(DiffusionGemmaModel model, RankGroups ranks, bool reports)
    {
        LoraAdapter? adapter = Options.Lora is null ? null : model.Adapter;
        if (adapter is null) model.Own(FullFineTuning.Trains);
        IReadOnlyList<TrainedParameter> trained = adapter?.ListTrained() ?? TrainedParts.Parameters(model);
        var run = new TrainingRun(model, Examples, Lengths, Options, trained, Steps, Seed, ranks, reports, Progress);
        foreach (string notice in model.Notices) run.Notify(notice);
        try
        {
            foreach (TrainedParameter parameter in trained) parameter.Value.requires_grad_(true);
            return (run, run.Run(Cancellation));
        }
        finally
        {
            foreach (TrainedParameter parameter in trained) parameter.Value.requires_grad_(false);
            // the run's activations and optimizer state, on threads that end with it
            HeapTrim.Run();
        }
    }

    private static FineTuneResult Result(TrainingRun run, RunEnd end, DiffusionGemmaModel model, LoraAdapter? adapter)
    {
        IReadOnlyList<TrainedParameter> trained = adapter?.ListTrained() ?? TrainedParts.Parameters(model);
        int owners = adapter is null ? model.Stack.ExpertRanks.Size : 1;
        return new FineTuneResult
        {
            History = [.. run.History],
            Evaluations = run.History.Evaluations,
            Notices = run.Notices,
            End = end,
            Adapter = adapter,
            Device = model.Device,
            TrainedTensors = adapter?.Modules ?? [.. trained.Select(p => p.Name)],
            TrainedParameterCount = trained.Sum(p => p.Value.numel() * (p.Slice == ExpertSlice.None ? 1 : owners)),
        };
    }
}
