using System.Runtime.ExceptionServices;
using static TorchSharp.torch;

namespace DiffusionGemma;

/// <summary>One call of <see cref="FineTuner"/>: the run that every rank makes, and how what the ranks have trained becomes one model.</summary>
/// <param name="Examples">The rows.</param>
/// <param name="Lengths">Tokens of each.</param>
/// <param name="Options">How to train.</param>
/// <param name="Steps">Steps of the whole run.</param>
/// <param name="Progress">Told after every step.</param>
/// <param name="Cancellation">Looked at between micro-batches.</param>
internal sealed record TrainingJob(
    IReadOnlyList<TrainingExample> Examples, int[] Lengths, FineTuneOptions Options, int Steps, IProgress<StepRecord>? Progress, CancellationToken Cancellation)
{
    /// <summary>Wraps each rank's group of all ranks, to count or to disturb its collectives; null: the group itself.</summary>
    public Func<IProcessGroup, IProcessGroup>? Observe { get; init; }

    private long Seed => Options.Seed ?? FineTuneOptions.DefaultSeed;

    /// <summary>One rank: the model itself is trained.</summary>
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

    /// <summary>Ranks train parts of the model, and it gets what they have trained.</summary>
    public FineTuneResult OnRanks(RankLayout layout, DiffusionGemmaModel model)
    {
        FineTuneResult? result = null;
        LoraAdapter? collected = null;
        Func<LoraAdapter, FineTuneResult>? finish = null;
        Func<string, bool> trains = name => Options.Lora is null && FullFineTuning.Trains(name);
        Run(layout, model.Config, model.DType, (ranks, reports) =>
        {
            using DiffusionGemmaModel share = model.Share(ranks.Device, ranks.Experts, trains);
            using LoraAdapter? adapter = Options.Lora is null ? null
                : model.Adapter is { } existing ? existing.Map((tensor, slice) => slice.Select(tensor, ranks.Experts).to(ranks.Device).clone(), experts => experts / ranks.Experts.Size)
                : LoraAdapter.Create(share, Options.Lora, Seed);
            share.Adapter = adapter;
            (TrainingRun run, RunEnd end) = Train(share, ranks, reports);
            ranks.World.Activity = "collecting what was trained";
            if (adapter is not null)
            {
                if (Whole(adapter, ranks, model.Device, reports) is { } whole) (collected, finish) = (whole, kept => Result(run, end, model, kept));
            }
            else
            {
                Deliver(share, ranks, reports ? model : null);
                if (reports) result = Result(run, end, model, null);
            }
        }, () => collected?.Dispose());
        return result ?? finish!(Take(collected!, model));                                     // the model changes when all ranks are done
    }

    /// <summary>Ranks read and train their parts of a checkpoint; what they have trained is one adapter, or one folder.</summary>
    public FineTuneResult OnRanks(RankLayout layout, Checkpoint checkpoint, ScalarType precision)
    {
        FineTuneResult? result = null;
        Run(layout, checkpoint.Config, precision, (ranks, reports) =>
        {
            using DiffusionGemmaModel share = DiffusionGemmaModel.LoadShare(checkpoint, ranks.Device, precision, ranks.Experts);
            using LoraAdapter? adapter = Options.Lora is null ? null : LoraAdapter.Create(share, Options.Lora, Seed);
            share.Adapter = adapter;
            (TrainingRun run, RunEnd end) = Train(share, ranks, reports);
            ranks.World.Activity = "collecting what was trained";
            LoraAdapter? whole = adapter is null ? null : Whole(adapter, ranks, CPU, reports);
            if (adapter is null) Save(share, ranks);
            if (reports) result = Result(run, end, share, whole);
        }, () => result?.Dispose());
        return result!;
    }

    private void Run(RankLayout layout, DiffusionGemmaConfig config, ScalarType dtype, Action<RankGroups, bool> body, Action? failed = null)
    {
        if (layout.First == 0) Options.Run.Notices?.Report(layout.Describe(TrainingPlan.Of(config, Options, dtype, Lengths.Max(), layout.World, layout.ExpertParallel)));
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
        IReadOnlyList<TrainedParameter> trained = adapter?.ListTrained() ?? Parameters(model);
        var run = new TrainingRun(model, Examples, Lengths, Options, trained, Steps, Seed, ranks, reports, Progress);
        try
        {
            foreach (TrainedParameter parameter in trained) parameter.Value.requires_grad_(true);
            return (run, run.Run(Cancellation));
        }
        finally
        {
            foreach (TrainedParameter parameter in trained) parameter.Value.requires_grad_(false);
        }
    }

    private static IReadOnlyList<TrainedParameter> Parameters(DiffusionGemmaModel model) =>
        [.. model.Stack.Parameters.Where(p => FullFineTuning.Trains(p.Key)).Select(p => new TrainedParameter(p.Key, p.Value, DiffusionGemmaModel.IsStack(p.Key) ? ExpertSlice.First : ExpertSlice.None))];

    private static FineTuneResult Result(TrainingRun run, RunEnd end, DiffusionGemmaModel model, LoraAdapter? adapter)
    {
        IReadOnlyList<TrainedParameter> trained = adapter?.ListTrained() ?? Parameters(model);
        int owners = adapter is null ? model.Stack.ExpertRanks.Size : 1;
        return new FineTuneResult(
            [.. run.History], adapter, adapter?.Modules ?? [.. trained.Select(p => p.Name)],
            trained.Sum(p => p.Value.numel() * (p.Slice == ExpertSlice.None ? 1 : owners)), run.History.Evaluations, run.Notices, end);
    }

    /// <summary>The adapter of which ranks have parts, for the rank that keeps it. A collective.</summary>
    private static LoraAdapter? Whole(LoraAdapter adapter, RankGroups ranks, Device device, bool keeps)
    {
        LoraAdapter whole = adapter.Map((tensor, slice) => Whole(tensor, slice, ranks).to(device).clone(), experts => experts * ranks.Experts.Size);
        if (keeps) return whole;
        whole.Dispose();
        return null;
    }

    /// <summary>A model's new adapter; or its old one, with the new values.</summary>
    private static LoraAdapter Take(LoraAdapter whole, DiffusionGemmaModel model)
    {
        if (model.Adapter is not { } existing) return model.Adapter = whole;
        using IDisposable quiet = no_grad();
        using var scope = NewDisposeScope();
        foreach ((Tensor to, Tensor from) in existing.Parameters().Zip(whole.Parameters(), (a, b) => (a.Value, b.Value))) to.copy_(from);
        whole.Dispose();
        return existing;
    }

    /// <summary>A model takes over, a tensor at a time, what ranks have trained. A collective.</summary>
    private static void Deliver(DiffusionGemmaModel share, RankGroups ranks, DiffusionGemmaModel? model)
    {
        using IDisposable quiet = no_grad();
        foreach (TrainedParameter parameter in Parameters(share))
        {
            using var scope = NewDisposeScope();
            Tensor whole = Whole(parameter.Value.detach(), parameter.Slice, ranks);
            model?.Stack.Parameters[parameter.Name].copy_(whole);
        }
        model?.Changed.UnionWith(share.Changed);
    }

    /// <summary>A Hugging Face folder with the trained weights, written by the first rank a tensor at a time. A collective.</summary>
    private void Save(DiffusionGemmaModel share, RankGroups ranks)
    {
        TrainedParameter[] stacks = [.. Parameters(share).Where(p => p.Slice != ExpertSlice.None && share.Changed.Contains(p.Name))];
        ParameterGather.Run(
            ranks,
            // One set of experts is enough.
            n => (ranks.FirstRankOfExpertSet == 0 ? stacks[n].Value.detach().flatten() : empty(0, dtype: share.DType, device: ranks.Device), 0, stacks[n]),
            whole => share.SaveGathered(Options.OutputFolder!, stacks.Index().ToDictionary(s => s.Item.Name, s => (Func<Func<Tensor>, Tensor>)(_ => whole(s.Index)))));
    }

    /// <summary>A tensor of which ranks have parts, on every rank. A collective.</summary>
    private static Tensor Whole(Tensor part, ExpertSlice slice, RankGroups ranks)
    {
        if (slice == ExpertSlice.None || ranks.Experts.Size == 1) return part;
        using var scope = NewDisposeScope();
        int owners = ranks.Experts.Size;
        Tensor parts = empty([owners, .. part.shape], dtype: part.dtype, device: part.device), whole = empty(slice.WholeShape(part.shape, owners), dtype: part.dtype, device: part.device);
        ranks.Experts.AllGather(part.contiguous(), parts);
        for (int owner = 0; owner < owners; owner++) slice.CopyTo(parts[owner], whole, owner, owners);
        return whole.MoveToOuterDisposeScope();
    }
}
