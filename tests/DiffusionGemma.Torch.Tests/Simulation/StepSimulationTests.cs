using DiffusionGemma.Benchmarks;
using TorchSharp;

namespace DiffusionGemma;

public class StepSimulationTests : TorchTest
{
    private static readonly DiffusionGemmaConfig Released = DiffusionGemmaConfig.Parse(ReleasedConfig.Json(perLayer: false), "config.json");

    /// <summary>
    /// A second step's bytes, of each kind of collective, are those that the simulation counts: a run of two steps less a run of one.
    /// </summary>
    [Theory]
    [InlineData("full", 2, null, 4, 1, 0.0)]
    [InlineData("full", 2, null, 4, 2, 1.0)]
    [InlineData("full", 2, 1, 4, 1, 1.0)]
    // a last round in which two ranks have no row
    [InlineData("full", 4, null, 6, 1, 1.0)]
    // and one in which a whole set of experts has none
    [InlineData("full", 4, 2, 5, 1, 1.0)]
    [InlineData("full checkpointing", 4, 2, 8, 2, 1.0)]
    [InlineData("lora", 2, null, 4, 1, 1.0)]
    [InlineData("lora", 4, null, 2, 1, 0.0)]
    [InlineData("lora experts", 4, 2, 4, 1, 1.0)]
    [InlineData("lora experts checkpointing", 2, null, 4, 2, 0.0)]
    [InlineData("lora bfloat16", 2, null, 4, 1, 1.0)]
    [InlineData("full bfloat16", 4, 2, 4, 1, 0.0)]
    [InlineData("full float64", 2, null, 4, 1, 0.0)]
    public void Bytes_are_those_of_a_run(string kind, int ranks, int? expertParallel, int batch, int micro, double selfConditioning)
    {
        torch.ScalarType dtype = kind.Contains("bfloat16", StringComparison.Ordinal) ? torch.ScalarType.BFloat16
            : kind.Contains("float64", StringComparison.Ordinal) ? torch.ScalarType.Float64 : torch.ScalarType.Float32;
        FineTuneOptions options = TinyRows.Options with
        {
            Lora = !kind.Contains("lora", StringComparison.Ordinal) ? null
                : new LoraOptions { Rank = 3, Experts = kind.Contains("experts", StringComparison.Ordinal), SelfConditioning = true },
            Run = TinyRows.Options.Run with
            {
                ActivationCheckpointing = kind.Contains("checkpointing", StringComparison.Ordinal),
                MicroBatchSize = micro,
                DryRun = false
            },
            GlobalBatchSize = batch,
            Objective = TinyRows.Options.Objective with { SelfConditioningProbability = selfConditioning },
            Parallel = TinyRows.Options.Parallel with { ExpertParallel = expertParallel },
        };
        using var model = DiffusionGemmaModel.Load(Fixtures.Checkpoint("tiny-2layer"), dtype: dtype);
        Dictionary<Collective, long>[] one = Bytes(model, options, ranks, steps: 1), two = Bytes(model, options, ranks, steps: 2);
        long Of(int rank, Collective operation) => two[rank].GetValueOrDefault(operation) - one[rank].GetValueOrDefault(operation);

        var expected = StepTraffic.Count(model.Config, options, torch.zeros(0, dtype: dtype).element_size(), RowTokens, ranks,
            TrainingPlan.ExpertOwners(model.Config, ranks, expertParallel));
        Assert.Equal(expected.AllToAll, Enumerable.Range(0, ranks).Sum(rank => Of(rank, Collective.AllToAll)));
        for (int rank = 0; rank < ranks; rank++)
        {
            Assert.Equal(expected.ExpertGradients + expected.OtherGradients, Of(rank, Collective.ReduceScatter));
            Assert.Equal(expected.ExpertWeights + expected.OtherWeights, Of(rank, Collective.AllGather));
            Assert.Equal(expected.AllReduce, Of(rank, Collective.AllReduce));
            Assert.Equal(0, Of(rank, Collective.Broadcast));
        }
        Assert.True(expected.OtherGradients > 0);
    }

    [Fact]
    public void One_device_has_nothing_to_exchange_and_waits_for_nobody()
    {
        var options = new FineTuneOptions { GlobalBatchSize = 8, Run = new() { MicroBatchSize = 2 } };
        StepSimulation one = Simulate(options, 1);
        Assert.Equal((0, 0, 0, 0), (one.AllToAllSeconds, one.GradientSeconds, one.AllToAllBytes, one.GradientBytes));
        Assert.Equal(0, one.IdleSeconds, 1e-9 * one.Seconds);
        Assert.Equal(4, one.Rounds);
        Assert.Equal(one.StepFlops / DeviceFigures.H100.FlopsPerSecond, one.ProductSeconds, 1e-9 * one.ProductSeconds);
    }

    [Theory]
    [InlineData(true, false)]
    [InlineData(false, false)]
    [InlineData(true, true)]
    public void Arithmetic_is_the_plans(bool isFull, bool checkpointing)
    {
        var options = new FineTuneOptions
        {
            Lora = isFull ? null : new LoraOptions(),
            Run = new() { ActivationCheckpointing = checkpointing }, GlobalBatchSize = 64
        };
        double planned = 8 * TrainingPlan.Compute(Released, options, torch.ScalarType.BFloat16, 1024, devices: 8).StepFlops;
        Assert.Equal(planned, Simulate(options, 8).StepFlops, 1e-9 * planned);
    }

    [Theory]
    [InlineData(8, null, 8)]
    [InlineData(64, 8, 64)]
    [InlineData(64, null, 24)]                                                                 // fewer rows than devices
    [InlineData(512, 8, 1024)]
    [InlineData(512, 128, 768)]
    public void More_is_never_slower(int devices, int? expertParallel, int batch)
    {
        foreach (LoraOptions? lora in new[] { null, new LoraOptions(), new LoraOptions { Experts = true } })
        {
            var options = new FineTuneOptions { Lora = lora, GlobalBatchSize = batch };
            DeviceFigures usual = DeviceFigures.H100;
            double Seconds(DeviceFigures figures) =>
                StepSimulation.Simulate(Released, options, torch.ScalarType.BFloat16, 1024, devices, expertParallel, figures).Seconds;
            double before = Seconds(usual);
            foreach (DeviceFigures better in new[]
            {
                usual with { LinkBytesPerSecond = 2 * usual.LinkBytesPerSecond },
                    usual with { NetworkBytesPerSecond = 2 * usual.NetworkBytesPerSecond },
                usual with { LatencySeconds = usual.LatencySeconds / 2 },
            })
                Assert.True(Seconds(better) <= before);
            Assert.True(Seconds(usual with { FlopsPerSecond = 2 * usual.FlopsPerSecond }) < before);
            Assert.True(Seconds(usual with { MemoryBytesPerSecond = 2 * usual.MemoryBytesPerSecond }) < before);
            Assert.True(
                Seconds(
                    usual with
                    {
                        NetworkBytesPerSecond = usual.NetworkBytesPerSecond / 2,
                        LinkBytesPerSecond = usual.LinkBytesPerSecond / 2
                    }) > before);
            Assert.True(Seconds(usual with { AtOnce = devices / 2 }) > before);
            Assert.Equal(before, Seconds(usual with { AtOnce = devices }));
        }
    }

    /// <summary>Figures of which one is far too small: the part that it slows is named.</summary>
    [Fact]
    public void The_limit_is_the_largest_part()
    {
        var options = new FineTuneOptions { GlobalBatchSize = 64 };
        DeviceFigures good = DeviceFigures.H100;
        string Limit(DeviceFigures figures, FineTuneOptions options, int? expertParallel) =>
            StepSimulation.Simulate(Released, options, torch.ScalarType.BFloat16, 1024, 64, expertParallel, figures).Limit;
        Assert.Equal("products", Limit(good with { FlopsPerSecond = 1e12 }, options, 8));
        Assert.Equal("memory", Limit(good with { MemoryBytesPerSecond = 1e9 }, options, 8));
        Assert.Equal("all-to-all", Limit(good with { NetworkBytesPerSecond = 1e9 }, options with { Lora = new LoraOptions() }, 64));
        Assert.Equal("reduce-scatter and all-gather", Limit(good with { NetworkBytesPerSecond = 1e9 }, options, 8));
        Assert.Equal("idle", Limit(good with { FlopsPerSecond = 1e12 }, options with { GlobalBatchSize = 8 }, 8));
        Assert.Contains("idle", Simulate(options with { GlobalBatchSize = 2 }, 64).ToString(), StringComparison.Ordinal);
    }

    /// <summary>Against the sum over all 2^n outcomes.</summary>
    [Theory]
    [InlineData(1, 3, 0.5)]
    [InlineData(2, 1, 0.5)]
    [InlineData(4, 2, 0.3)]
    [InlineData(3, 3, 1.0)]
    public void The_expected_most_is_that_of_all_outcomes(int places, int rows, double probability)
    {
        double mean = 0;
        for (int outcome = 0; outcome < 1 << (places * rows); outcome++)
        {
            int set = System.Numerics.BitOperations.PopCount((uint)outcome);
            int most = Enumerable.Range(0, places)
                .Max(place => System.Numerics.BitOperations.PopCount((uint)(outcome >> (place * rows)) & ((1u << rows) - 1)));
            mean += most * Math.Pow(probability, set) * Math.Pow(1 - probability, places * rows - set);
        }
        Assert.Equal(mean, RowLoad.ExpectedMost(places, rows, probability), 1e-12);
    }

    [Fact]
    public void What_does_not_fit_is_refused()
    {
        Assert.Contains("128 experts",
            Assert.Throws<ArgumentException>(() => Simulate(new FineTuneOptions(), 8, expertParallel: 3)).Message,
            StringComparison.Ordinal);
        Assert.Contains("LinkBytesPerSecond", Assert.Throws<ArgumentOutOfRangeException>(
            () => StepSimulation.Simulate(Released, new FineTuneOptions(), torch.ScalarType.BFloat16, 1024, 8, null,
                DeviceFigures.H100 with { LinkBytesPerSecond = 0 })).Message, StringComparison.Ordinal);
    }

    /// <summary>Two prompt tokens and three canvases.</summary>
    private const int RowTokens = 26;

    private static StepSimulation Simulate(FineTuneOptions options, int devices, int? expertParallel = null) =>
        StepSimulation.Simulate(Released, options, torch.ScalarType.BFloat16, 1024, devices, expertParallel, DeviceFigures.H100);

    private static Dictionary<Collective, long>[] Bytes(DiffusionGemmaModel model, FineTuneOptions options, int ranks, int steps)
    {
        List<ObservedCollective>[] logs = [.. Enumerable.Range(0, ranks).Select(_ => new List<ObservedCollective>())];
        var random = new Random(1);
        TrainingExample[] rows = [.. Enumerable.Range(0, steps * options.GlobalBatchSize).Select(_ =>
            CanvasPacking.Pack([.. Enumerable.Range(0, RowTokens).Select(_ => random.Next(10, 120))],
                [.. Enumerable.Range(0, RowTokens).Select(i => i > 1)], TinyRows.Canvas, RowTokens, eosId: 1)!)];
        Assert.All(rows, row => Assert.Equal(RowTokens, row.InputIds.Length));
        using FineTuneResult result = FineTuner.Fit(
            model, rows, options with { MaxSteps = steps, Epochs = 1, Devices = torch.Device.Cpu(ranks) }, group =>
            new ObservedGroup(group, logs[group.Rank]));
        Assert.Equal(steps, result.History.Count);
        model.Adapter = null;
        return [.. logs.Select(log => log.GroupBy(c => c.Operation).ToDictionary(g => g.Key, g => g.Sum(c => c.Bytes)))];
    }
}
