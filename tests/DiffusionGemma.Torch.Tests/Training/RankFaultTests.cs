using System.Diagnostics;
using System.Runtime.InteropServices;
using static TorchSharp.torch;

namespace DiffusionGemma;

/// <summary>
/// A rank that fails, hangs, runs out of memory or is cancelled ends all others with that error, and the process is as before.
/// </summary>
[Collection(Alone.Name)]
public class RankFaultTests : TorchTest
{
    /// <summary>Longer than any collective takes on a busy machine.</summary>
    private static readonly TimeSpan Timeout = TimeSpan.FromMinutes(10);

    /// <summary>
    /// In every phase of a step and at every kind of collective: Fit throws what the failing rank threw, without waiting for the time-out.
    /// </summary>
    [Fact]
    public void Each_phase_and_each_collective()
    {
        var seen = new SortedSet<string>();
        using (DiffusionGemmaModel model = Load())
            Fit(model, (group, name) =>
            {
                lock (seen) seen.Add($"{name} at {Phase(group.Activity)}");
            });
        string[] expected =
        [
            "AllGather at optimiser", "AllReduce at optimiser", "AllToAll at backward", "AllToAll at decoding", "AllToAll at encoding",
                "AllToAll at first pass", "Barrier at the end",
            "AllReduce at summing gradients", "ReduceScatter at summing gradients", "AllToAll at evaluation", "Broadcast at checkpoint",
                "AllGather at checkpoint", "AllToAll at checkpoint",
        ];
        Assert.Subset(seen, expected.ToHashSet());
        foreach (string where in seen)
        {
            using DiffusionGemmaModel model = Load();
            int done = 0;
            var fault = new InvalidDataException($"fault in {where}");
            Stopwatch clock = Stopwatch.StartNew();
            Exception error = Assert.ThrowsAny<Exception>(() => Fit(model, (group, name) =>
            {
                if (group.Rank == 1 && $"{name} at {Phase(group.Activity)}" == where && Interlocked.Exchange(ref done, 1) == 0) throw fault;
            }));
            Assert.True(Causes(error).Contains(fault), $"{where}: {error}");
            Assert.True(clock.Elapsed < Timeout, $"{where} took {clock.Elapsed}");
            Assert.Null(model.Adapter);
        }
    }

    /// <summary>A rank that does not come: the others name it, and the phase, after the time-out.</summary>
    [Fact]
    public void A_rank_that_hangs_is_named() => TimeoutTest.Run(timeout =>
    {
        using DiffusionGemmaModel model = Load();
        using var release = new ManualResetEventSlim();
        int calls = 0;
        Stopwatch clock = Stopwatch.StartNew();
        var error = Assert.Throws<ProcessGroupException>(() => Fit(model, (group, name) =>
        {
            if (group.Rank == 1 && name == nameof(IProcessGroup.AllToAll) && ++calls == 40) release.Wait();
        }, timeout: timeout));
        release.Set();
        Assert.Contains("rank 1", error.Message, StringComparison.Ordinal);
        Assert.Contains("step", error.Message, StringComparison.Ordinal);
        Assert.InRange(clock.Elapsed, timeout, timeout + TimeSpan.FromMinutes(1));
        Fit(model, null);                                                                      // the process is as before
    });

    /// <summary>Whoever notices it, all ranks stop at the same place, and a checkpoint of the last whole step is written.</summary>
    [Fact]
    public void Cancellation_ends_all_ranks_with_a_checkpoint()
    {
        using TemporaryFolder folder = Fixtures.Temporary();
        using DiffusionGemmaModel model = Load();
        using var cancel = new CancellationTokenSource();
        int calls = 0;
        var error = Assert.ThrowsAny<OperationCanceledException>(() => Fit(
            model, (group, name) =>
            {
                if (group.Rank == 1 && name == nameof(IProcessGroup.AllToAll) && ++calls == 200) cancel.Cancel();
            }, cancel.Token, folder));
        Assert.Equal(cancel.Token, error.CancellationToken);
        Assert.NotEmpty(Directory.EnumerateDirectories(folder.Path, "step-*"));
        var stopped = new OperationCanceledException("by the listener");
        Assert.Same(stopped,
            Assert.ThrowsAny<OperationCanceledException>(() =>
                FineTuner.Fit(model, TinyRows.Make(16), Options, new ImmediateProgress<StepRecord>(r =>
        {
            if (r.Step == 1) throw stopped;
        }))));
    }

    /// <summary>
    /// So many of them (DIFFUSIONGEMMA_FAULT_STEPS: 60) under random faults (an exception, memory run out, a rank that hangs, a
    /// cancellation), each at a random collective of a random rank; then a run without gives what it should.
    /// </summary>
    [Fact]
    public void A_thousand_steps_with_random_faults()
    {
        var random = new Random(3);
        using DiffusionGemmaModel model = Load();
        double[] expected = Losses(null);
        int steps = 0, faults = 0;
        long target = int.Parse(Environment.GetEnvironmentVariable("DIFFUSIONGEMMA_FAULT_STEPS") ?? "60");
        while (steps < target)
        {
            int kind = random.Next(20), rank = random.Next(2), at = random.Next(1, 420), calls = 0;
            using var cancel = new CancellationTokenSource();
            using var release = new ManualResetEventSlim();
            Exception? fault = kind switch
            {
                0 => null,
                1 => new OperationCanceledException(),
                < 11 =>
                new InvalidDataException("a fault"),
                _ => new ExternalException("out of memory")
            };
            Exception? error = Record.Exception(() => Fit(
                model, (group, _) =>
                {
                    if (group.Rank != rank || ++calls != at) return;
                    if (kind == 0) release.Wait();
                    else if (kind == 1) cancel.Cancel();
                    else throw fault!;
                },
                cancel.Token, progress: new ImmediateProgress<StepRecord>(_ => steps++),
                timeout: kind == 0 ? TimeSpan.FromSeconds(0.3) : Timeout));
            release.Set();
            // on a busy machine, a slow rank
            if (kind == 0) Assert.True(calls < at && error is null || error is ProcessGroupException, $"{error}");
            else if (calls < at) Assert.Null(error);                                           // the run was over before
            else if (kind == 1) Assert.True(error is null or OperationCanceledException, $"{error}");
            else Assert.True(Causes(error).Contains(fault), $"{error}");
            if (calls >= at) faults++;
            model.Adapter = null;
        }
        Assert.True(faults > steps / 20);
        Assert.Equal(expected, Losses(null));
        double[] Losses(Action<IProcessGroup, string>? before)
        {
            using FineTuneResult result = Fit(model, before);
            model.Adapter = null;
            return [.. result.History.Select(r => r.Loss)];
        }
    }

    private static string Phase(string at) => at.Contains("checkpoint", StringComparison.Ordinal) ? "checkpoint"
        : at.Contains("evaluation", StringComparison.Ordinal) ? "evaluation" : at[(at.IndexOf(',') + 1)..].Trim();

    private static IEnumerable<Exception> Causes(Exception? error)
    {
        for (; error is not null; error = error.InnerException) yield return error;
    }

    private static DiffusionGemmaModel Load() => DiffusionGemmaModel.Load(Fixtures.Checkpoint("tiny-2layer"));

    private static readonly FineTuneOptions Options = TinyRows.Options with
    {
        MaxSteps = 6,
        Run = TinyRows.Options.Run with { MicroBatchSize = 1 },
        Lora = new LoraOptions { Rank = 2, Experts = true },
        Devices = Device.Cpu(2),
        Parallel = TinyRows.Options.Parallel with { CollectiveTimeout = Timeout },
    };

    private static FineTuneResult Fit(
        DiffusionGemmaModel model, Action<IProcessGroup, string>? before, CancellationToken cancellation = default,
        TemporaryFolder? folder = null, IProgress<StepRecord>? progress = null,
        TimeSpan? timeout = null)
    {
        using TemporaryFolder own = Fixtures.Temporary();
        FineTuneResult result = FineTuner.Fit(
            model, TinyRows.Make(16), Options with
            {
                Parallel = Options.Parallel with { CollectiveTimeout = timeout ?? Timeout },
                Checkpoints = progress is null ? new RunCheckpointOptions { Folder = (folder ?? own).Path, EverySteps = 3 } : null,
                Evaluation = progress is null ? new EvaluationOptions { Examples = TinyRows.Make(3, seed: 2), EverySteps = 3 } : null,
            }, before is null ? null : group => new Relayed(group, name => before(group, name)), progress, cancellation);
        model.Adapter = null;
        return result;
    }
}
