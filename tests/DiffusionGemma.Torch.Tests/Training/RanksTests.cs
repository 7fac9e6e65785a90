using System.Collections.Concurrent;
using static TorchSharp.torch;

namespace DiffusionGemma;

/// <summary>
/// Runs on several ranks beside the same run on one, in float64: losses to 1e-10, weights to 1e-7 (Adam divides small gradients by their
/// own size).
/// </summary>
public class RanksTests : TorchTest
{
    private static readonly ConcurrentDictionary<string, (FineTuneResult, Dictionary<string, Tensor>)> Alone = [];

    public static TheoryData<string, int, int?> Cases() => new()
    {
        { "micro", 4, 2 }, { "tokens", 3, null }, { "idle", 4, null }, { "recompute", 2, null }, { "no first pass", 2, null },
            { "all first passes", 4, null },
        { "experts", 2, null }, { "experts", 4, 2 }, { "recompute experts", 4, null }, { "one layer", 2, null }, { "dropout", 2, null },
            { "best", 4, 1 },
    };

    [Theory]
    [MemberData(nameof(Cases))]
    public void A_run_gives_one_ranks_numbers(string what, int ranks, int? expertParallel)
    {
        FineTuneOptions options = Options(what);
        (FineTuneResult one, Dictionary<string, Tensor> end) = OneRank(what);
        (FineTuneResult several, Dictionary<string, Tensor> again) =
            Train(options with { Devices = Device.Cpu(ranks), Parallel = options.Parallel with { ExpertParallel = expertParallel } });
        AssertSame(one.History, several.History);
        Assert.Equal(one.TrainedTensors, several.TrainedTensors);
        Assert.Equal(one.TrainedParameterCount, several.TrainedParameterCount);
        Assert.Equal(end.Keys.Order(), again.Keys.Order());
        foreach ((string name, Tensor value) in end) Assert.True(Largest(again[name], value) < 1e-7, name);
        Assert.Equal(one.Evaluations.Count, several.Evaluations.Count);
        foreach ((EvaluationRecord a, EvaluationRecord b) in one.Evaluations.Zip(several.Evaluations))
        {
            Assert.Equal(a.EncoderLoss, b.EncoderLoss, 1e-10);
            foreach ((double x, double y) in a.DiffusionLossByNoise.Zip(b.DiffusionLossByNoise)) Assert.Equal(x, y, 1e-10);
        }
    }

    /// <summary>
    /// bfloat16 passes over shares of float32 masters: gradients of replicas are rounded before they are summed, so losses agree to
    /// bfloat16's rounding (8 bits) only.
    /// </summary>
    [Theory]
    [InlineData("full", 2)]
    [InlineData("experts", 4)]
    public void In_bfloat16_it_is_the_same_run_to_rounding(string what, int ranks)
    {
        FineTuneOptions options = Options(what);
        (FineTuneResult one, _) = Train(options, dtype: ScalarType.BFloat16);
        (FineTuneResult several, Dictionary<string, Tensor> end) =
            Train(options with { Devices = Device.Cpu(ranks) }, dtype: ScalarType.BFloat16);
        foreach ((StepRecord a, StepRecord b) in one.History.Zip(several.History)) Assert.Equal(a.Loss, b.Loss, 0.01 * a.Loss);
        Assert.All(end.Values, value => Assert.Equal(what == "full" ? ScalarType.BFloat16 : ScalarType.Float32, value.dtype));
    }

    /// <summary>Checkpoints hold whole tensors: a run may go on with more ranks, or fewer.</summary>
    [Theory]
    [InlineData("full", 4, 1)]
    [InlineData("full", 2, 4)]
    [InlineData("experts", 1, 4)]
    [InlineData("experts", 4, 2)]
    [InlineData("best", 4, 2)]
    public void A_run_of_n_ranks_goes_on_with_m(string what, int before, int after)
    {
        using TemporaryFolder folder = Fixtures.Temporary();
        FineTuneOptions options = Options(what);
        (FineTuneResult whole, Dictionary<string, Tensor> end) = OneRank(what);
        using var cancel = new CancellationTokenSource();
        var checkpoints = new RunCheckpointOptions { Folder = folder.Path, EverySteps = 1000 };
        var stopper = new ImmediateProgress<StepRecord>(r =>
        {
            if (r.Step == 1) cancel.Cancel();
        });
        Assert.ThrowsAny<OperationCanceledException>(() =>
            Train(options with { Checkpoints = checkpoints, Devices = Device.Cpu(before) }, stopper, cancel.Token));
        Assert.Equal(["step-000002"], Directory.EnumerateDirectories(folder.Path).Select(f => Path.GetFileName(f)!));

        (FineTuneResult resumed, Dictionary<string, Tensor> again) =
            Train(options with { Checkpoints = checkpoints with { Resume = RunCheckpointOptions.Latest }, Devices = Device.Cpu(after) });
        AssertSame(whole.History, resumed.History);
        foreach ((string name, Tensor value) in end) Assert.True(Largest(again[name], value) < 1e-7, name);
        Assert.Contains(resumed.Notices, n => n.Contains($"was on {before} ranks and is on {after} now", StringComparison.Ordinal));
    }

    /// <summary>The same number of ranks resumes to the last bit, in float32 too: sums are made in the order of ranks.</summary>
    [Fact]
    public void Resumed_on_as_many_ranks_it_is_the_same_run()
    {
        using TemporaryFolder folder = Fixtures.Temporary();
        FineTuneOptions options = Options("full") with { Devices = Device.Cpu(2) };
        var checkpoints = new RunCheckpointOptions { Folder = folder.Path, EverySteps = 2, Keep = 10 };
        (FineTuneResult whole, _) = Train(options with { Checkpoints = checkpoints }, dtype: ScalarType.Float32);
        (FineTuneResult resumed, _) =
            Train(options with { Checkpoints = checkpoints with { Resume = "step-000002" } }, dtype: ScalarType.Float32);
        Assert.Equal(whole.History.Select(r => (r.Loss, r.GradientNorm)), resumed.History.Select(r => (r.Loss, r.GradientNorm)));
    }

    /// <summary>Every rank reads its own part of a folder; what is written is what one rank would have written.</summary>
    [Theory]
    [InlineData("full", 2)]
    [InlineData("full", 4)]
    [InlineData("experts", 4)]
    public void From_a_folder_and_to_a_folder(string what, int ranks)
    {
        using TemporaryFolder folder = Fixtures.Temporary();
        FineTuneOptions options =
            Options(what) with { Run = Options(what).Run with { Precision = ScalarType.Float64 }, OutputFolder = folder.File("trained") };
        using var model = DiffusionGemmaModel.Load(Fixtures.Checkpoint("tiny-2layer"), TestDevice.Current, ScalarType.Float64);
        using FineTuneResult one = FineTuner.Fit(model, TinyRows.Make(24), options);
        using FineTuneResult several = FineTuner.Fit(model.Folder, TinyRows.Make(24), options with { Devices = Device.Cpu(ranks) });
        AssertSame(one.History, several.History);
        Assert.Equal(one.TrainedParameterCount, several.TrainedParameterCount);
        if (what == "full")
        {
            model.Save(folder.File("one"));
            using SafetensorsFile expected = SafetensorsFile.Open(folder.File("one")), got = SafetensorsFile.Open(folder.File("trained"));
            Assert.Equal(expected.Tensors.Keys.Order(), got.Tensors.Keys.Order());
            foreach (string name in expected.Tensors.Keys) Assert.True(Largest(got.Read(name), expected.Read(name)) < 1e-6, name);
            Assert.Equal(Directory.EnumerateFiles(folder.File("one")).Select(Path.GetFileName).Order(),
                Directory.EnumerateFiles(folder.File("trained")).Select(Path.GetFileName).Order());
        }
        else
        {
            var got = several.Adapter!.Parameters().ToDictionary(p => p.Key, p => p.Value);
            foreach ((string name, Tensor value) in one.Adapter!.Parameters()) Assert.True(Largest(got[name], value) < 1e-7, name);
            several.Adapter.Save(folder.File("adapter"), model.Folder);
            model.Adapter = null;
            using LoraAdapter loaded = LoraAdapter.Load(folder.File("adapter"), model);
            Assert.Equal(several.Adapter.Modules.Order(), loaded.Modules.Order());
        }
        model.Adapter = null;
    }

    /// <summary>An adapter that is there is trained further, where it is.</summary>
    [Fact]
    public void An_adapter_is_trained_further()
    {
        using var model = DiffusionGemmaModel.Load(Fixtures.Checkpoint("tiny-2layer"), TestDevice.Current, ScalarType.Float64);
        FineTuneOptions options = Options("experts") with { MaxSteps = 2 };
        using FineTuneResult first = FineTuner.Fit(model, TinyRows.Make(24), options),
            second = FineTuner.Fit(model, TinyRows.Make(24), options);
        Tensor[] expected = [.. first.Adapter!.Parameters().Select(p => p.Value.clone())];
        model.Adapter = null;

        using FineTuneResult start = FineTuner.Fit(model, TinyRows.Make(24), options with { Devices = Device.Cpu(2) });
        LoraAdapter there = model.Adapter!;
        using FineTuneResult again = FineTuner.Fit(model, TinyRows.Make(24), options with { Devices = Device.Cpu(4) });
        Assert.Same(there, again.Adapter);
        foreach ((Tensor a, Tensor b) in expected.Zip(there.Parameters(), (a, b) => (a, b.Value))) Assert.True(Largest(b, a) < 1e-7);
        model.Adapter = null;
    }

    /// <summary>A rank of a folder's model holds its own experts and no others'.</summary>
    [Fact]
    public void Layout_is_told_and_options_that_do_not_fit_are_refused()
    {
        using var model = DiffusionGemmaModel.Load(Fixtures.Checkpoint("tiny-2layer"));
        int experts = model.Config.NumExperts;
        var notices = new List<string>();
        using FineTuneResult result = FineTuner.Fit(model, TinyRows.Make(8),
            TinyRows.Options with
            {
                MaxSteps = 1,
                Devices = Device.Cpu(2),
                Run = TinyRows.Options.Run with { Notices = new ImmediateProgress<string>(notices.Add) }
            });
        Assert.Contains(notices, n =>
            n.Contains($"rank 1 on cpu owns experts {experts / 2}-{experts - 1} of every layer", StringComparison.Ordinal));

        void Refused(FineTuneOptions options, string option) =>
            Assert.Contains(option, Assert.ThrowsAny<ArgumentException>(() => FineTuner.Fit(model, TinyRows.Make(8), options)).Message,
                StringComparison.Ordinal);
        Refused(TinyRows.Options with { Devices = Device.Cpu(3), Parallel = TinyRows.Options.Parallel with { ExpertParallel = 2 } },
            "ExpertParallel");
        Refused(
            TinyRows.Options with { Devices = Device.Cpu(3), Parallel = TinyRows.Options.Parallel with { ExpertParallel = 3 } }, "experts");
        Refused(TinyRows.Options with { Devices = [] }, "Devices");
        Refused(
            TinyRows.Options with
            {
                Devices = Device.Cpu(2),
                Parallel = TinyRows.Options.Parallel with { CollectiveTimeout = TimeSpan.Zero }
            }, "CollectiveTimeout");
        Assert.Throws<ArgumentOutOfRangeException>(() => Device.Cpu(0));
        Assert.Contains("OutputFolder",
            Assert.Throws<ArgumentException>(() => FineTuner.Fit(model.Folder, TinyRows.Make(8), TinyRows.Options)).Message,
            StringComparison.Ordinal);
    }

    private static void AssertSame(IReadOnlyList<StepRecord> expected, IReadOnlyList<StepRecord> got)
    {
        Assert.Equal(expected.Count, got.Count);
        foreach ((StepRecord a, StepRecord b) in expected.Zip(got))
        {
            Assert.Equal(a.DiffusionLoss, b.DiffusionLoss, 1e-10);
            Assert.Equal(a.EncoderLoss, b.EncoderLoss, 1e-10);
            Assert.Equal(a.GradientNorm, b.GradientNorm, 1e-9);
            Assert.Equal((a.Step, a.Epoch, a.Tokens, a.LearningRate), (b.Step, b.Epoch, b.Tokens, b.LearningRate));
        }
    }

    private static (FineTuneResult Result, Dictionary<string, Tensor> End) OneRank(string what) => Alone.GetOrAdd(what, _ =>
    {
        (FineTuneResult result, Dictionary<string, Tensor> end) = Train(Options(what));
        foreach (Tensor tensor in end.Values) tensor.DetachFromDisposeScope();
        return (result, end);
    });

    private static FineTuneOptions Options(string what)
    {
        FineTuneOptions options = TinyRows.Options with { MaxSteps = 4, Run = TinyRows.Options.Run with { MicroBatchSize = 1 } };
        var lora = new LoraOptions { Rank = 4, Experts = true, ExpertRank = 2 };
        return what switch
        {
            "full" => options,
            "micro" => options with { Run = options.Run with { MicroBatchSize = 2 }, GlobalBatchSize = 8 },
            "tokens" => options with { Run = options.Run with { MicroBatchSize = 8, MicroBatchTokens = 40 }, GlobalBatchSize = 8 },
            "idle" => options with { GlobalBatchSize = 3 },
            "recompute" => options with { Run = options.Run with { ActivationCheckpointing = true } },
            "no first pass" => options with { Objective = options.Objective with { SelfConditioningProbability = 0 } },
            "all first passes" => options with { Objective = options.Objective with { SelfConditioningProbability = 1 } },
            "experts" => options with { Lora = lora },
            "recompute experts" =>
            options with { Lora = lora, Run = options.Run with { ActivationCheckpointing = true }, GlobalBatchSize = 3 },
            "one layer" => options with { Lora = new LoraOptions { Targets = ["layers.1.self_attn.q_proj"] } },
            "dropout" => options with { Lora = new LoraOptions { Rank = 4, Dropout = 0.2 } },
            "best" =>
            options with
            {
                LearningRate = 0.01,
                Evaluation = new EvaluationOptions { Examples = TinyRows.Make(5, seed: 9), EverySteps = 2, KeepBest = true }
            },
            _ => throw new ArgumentException(what),
        };
    }

    private static (FineTuneResult Result, Dictionary<string, Tensor> End) Train(
        FineTuneOptions options, IProgress<StepRecord>? progress = null, CancellationToken cancellation = default,
        ScalarType dtype = ScalarType.Float64)
    {
        using var model = DiffusionGemmaModel.Load(Fixtures.Checkpoint("tiny-2layer"), TestDevice.Current, dtype);
        FineTuneResult result = FineTuner.Fit(model, TinyRows.Make(24), options, progress, cancellation);
        Dictionary<string, Tensor> end = options.Lora is null
            ? result.TrainedTensors.ToDictionary(t => t, t => model.Stack.Parameters[t].clone())
            : result.Adapter!.Parameters().ToDictionary(p => p.Key, p => p.Value.clone());
        model.Adapter = null;
        return (result, end);
    }
}
