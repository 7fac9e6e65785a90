using TorchSharp;
using static TorchSharp.torch;

namespace DiffusionGemma;

/// <summary>Micro-batches of a step side by side: what one worker alone comes to, and every time the same.</summary>
public class WorkersTests : TorchTest
{
    private static readonly FineTuneOptions Options =
        TinyRows.Options with { Run = TinyRows.Options.Run with { MicroBatchSize = 1 }, MaxSteps = 6 };

    /// <summary>The same sums in another order, in float64: 1e-10.</summary>
    [Theory]
    [InlineData("full", 2)]
    [InlineData("full", 3)]
    [InlineData("lora", 2)]
    [InlineData("lora", 4)]
    [InlineData("experts", 3)]
    [InlineData("dropout", 2)]
    [InlineData("checkpointing", 2)]
    public void Workers_come_to_what_one_comes_to(string kind, int workers)
    {
        FineTuneOptions options = kind switch
        {
            "lora" => Options with { Lora = new LoraOptions() },
            "experts" => Options with { Lora = new LoraOptions { Experts = true } },
            "dropout" => Options with { Lora = new LoraOptions { Dropout = 0.3 } },
            "checkpointing" => Options with { Run = Options.Run with { ActivationCheckpointing = true } },
            _ => Options,
        };
        (double[] losses, double[] norms) = Train(options, ScalarType.Float64);
        (double[] theirLosses, double[] theirNorms) =
            Train(options with { Parallel = options.Parallel with { Workers = workers } }, ScalarType.Float64);
        foreach ((double a, double b) in losses.Concat(norms).Zip(theirLosses.Concat(theirNorms)))
            Assert.Equal(a, b, 1e-10 * Math.Max(1, Math.Abs(a)));
    }

    [Fact]
    public void Two_runs_are_equal_to_the_last_bit()
    {
        foreach (LoraOptions? lora in new[] { null, new LoraOptions { Experts = true } })
            Assert.Equal(Train(Options with { Parallel = Options.Parallel with { Workers = 4 }, Lora = lora }, ScalarType.Float32),
                Train(Options with { Parallel = Options.Parallel with { Workers = 4 }, Lora = lora }, ScalarType.Float32), SameBits);
    }

    [Fact]
    public void A_resumed_run_goes_on_to_the_last_bit()
    {
        using TemporaryFolder folder = Fixtures.Temporary();
        FineTuneOptions options = Options with { Parallel = Options.Parallel with { Workers = 2 }, MaxSteps = 8 };
        FineTuneOptions Stored(string? resume) =>
            options with { Checkpoints = new RunCheckpointOptions { Folder = folder.Path, EverySteps = 3, Keep = 9, Resume = resume } };
        var whole = Train(options, ScalarType.Float32);
        Assert.Equal(whole, Train(Stored(null), ScalarType.Float32), SameBits);
        Assert.Equal(whole, Train(Stored("step-000003"), ScalarType.Float32), SameBits);
    }

    /// <summary>On one rank or on two that have all experts each.</summary>
    [Fact]
    public void Ranks_may_have_workers()
    {
        FineTuneOptions options = Options with { Lora = new LoraOptions(), MaxSteps = 4 };
        double[] alone = Train(options, ScalarType.Float64).Losses;
        double[] together = Train(
            options with { Devices = Device.Cpu(2), Parallel = options.Parallel with { ExpertParallel = 1, Workers = 2 } },
            ScalarType.Float64).Losses;
        foreach ((double a, double b) in alone.Zip(together)) Assert.Equal(a, b, 1e-10 * Math.Max(1, Math.Abs(a)));
    }

    [Theory]
    [InlineData(8, 1, true, null, 4, 4)]                     // as many as threads
    [InlineData(2, 1, true, null, 4, 2)]                     // as many as micro-batches
    [InlineData(8, 4, true, null, 4, 2)]
    [InlineData(8, 1, false, null, 4, 2)]                    // each has gradients of its own
    [InlineData(8, 1, false, 3, 4, 3)]
    [InlineData(8, 1, true, 1, 4, 1)]
    [InlineData(8, 1, true, 16, 4, 8)]
    public void How_many_there_are(int batch, int micro, bool lora, int? asked, int threads, int expected)
    {
        var options = new FineTuneOptions
        {
            GlobalBatchSize = batch, Run = new() { MicroBatchSize = micro },
            Lora = lora ? new LoraOptions() : null, Parallel = new() { Workers = asked }
        };
        Assert.Equal(expected, Workers.CountFor(options, CPU, threads));
        Assert.Equal(1, Workers.CountFor(options, new Device(DeviceType.CUDA, 0), threads));
        Assert.Equal(1, Workers.CountFor(options, CPU, threads, ranks: 2, expertParallel: 2));
    }

    /// <summary>Workers by default: as many as the budget allows. A number that was asked for and exceeds the budget is refused.</summary>
    [Fact]
    public void There_are_as_many_as_memory_allows()
    {
        using DiffusionGemmaModel model = Load(ScalarType.Float32);
        FineTuneOptions options = Options with { Lora = new LoraOptions() };
        long Needed(int workers) => TrainingPlan.Compute(model.Config, options, ScalarType.Float32, 26, workers: workers).TotalBytes;
        int? Chosen(long? budget, int? asked = null) =>
            FineTuner.WithinMemory(model.Config,
                options with { Run = options.Run with { MemoryBudget = budget }, Parallel = options.Parallel with { Workers = asked } },
                ScalarType.Float32, 26, new RankLayout([CPU], 0, 1, 1, model.Config.NumExperts)).Parallel.Workers;
        Assert.Equal(1, Chosen(null));                                                         // of one torch thread
        Assert.Equal(3, Chosen(Needed(3), asked: 3));
        Assert.Throws<MemoryBudgetException>(() => Chosen(Needed(3) - 1, asked: 3));
        Assert.Throws<MemoryBudgetException>(() => Chosen(Needed(1) - 1));
    }

    [Fact]
    public void None_is_refused() =>
        Assert.Contains("FineTuneOptions.Parallel.Workers",
            Assert.Throws<ArgumentOutOfRangeException>(
                () => Train(Options with { Parallel = Options.Parallel with { Workers = 0 } }, ScalarType.Float32)).Message,
                StringComparison.Ordinal);

    [Fact]
    public void The_first_workers_failure_is_thrown_when_all_are_done()
    {
        using var workers = new Workers(3);
        int done = 0;
        var error = Assert.Throws<InvalidOperationException>(() => workers.Run(worker =>
        {
            if (worker == 0) Thread.Sleep(50);
            else Interlocked.Increment(ref done);
            throw new InvalidOperationException($"worker {worker}");
        }));
        Assert.Equal("worker 0", error.Message);
        Assert.Equal(2, done);
        workers.Run(_ => Interlocked.Increment(ref done));
        Assert.Equal(5, done);
    }

    [Fact]
    public void A_plan_counts_what_each_keeps()
    {
        using DiffusionGemmaModel model = Load(ScalarType.Float32);
        TrainingPlan Plan(FineTuneOptions options, int workers) =>
            TrainingPlan.Compute(model.Config, options, ScalarType.Float32, 26, workers: workers);
        TrainingPlan one = Plan(Options, 1), three = Plan(Options, 3);
        Assert.Equal(2 * 4 * one.TrainedParameters, three.TrainingStateBytes - one.TrainingStateBytes);
        Assert.Equal(3 * one.ActivationBytes, three.ActivationBytes);
        Assert.Equal(one.WeightBytes, three.WeightBytes);
    }

    private static bool SameBits((double[] Losses, double[] Norms) a, (double[] Losses, double[] Norms) b) =>
        a.Losses.SequenceEqual(b.Losses) && a.Norms.SequenceEqual(b.Norms);

    private static DiffusionGemmaModel Load(ScalarType dtype) =>
        DiffusionGemmaModel.Load(Fixtures.Checkpoint("tiny-2layer"), TestDevice.Current, dtype);

    private static (double[] Losses, double[] Norms) Train(FineTuneOptions options, ScalarType dtype)
    {
        using DiffusionGemmaModel model = Load(dtype);
        using FineTuneResult result = FineTuner.Fit(model, TinyRows.Make(24), options);
        model.Adapter = null;
        return ([.. result.History.Select(h => h.Loss)], [.. result.History.Select(h => h.GradientNorm)]);
    }
}
