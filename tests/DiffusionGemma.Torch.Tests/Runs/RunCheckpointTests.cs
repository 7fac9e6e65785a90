using static TorchSharp.torch;

namespace DiffusionGemma;

/// <summary>A resumed run is the run that was never stopped: the same losses and weights, to the last bit.</summary>
public class RunCheckpointTests : TorchTest
{
    public static TheoryData<bool, ScalarType, int> Runs() => new()
    {
        { false, ScalarType.Float32, 1 }, { false, ScalarType.Float32, 6 }, { true, ScalarType.Float32, 3 },
            { true, ScalarType.Float32, 8 },
        { true, ScalarType.BFloat16, 4 }, { false, ScalarType.BFloat16, 4 },
    };

    [Theory]
    [MemberData(nameof(Runs))]
    public void Resumed_anywhere_the_run_is_the_same(bool lora, ScalarType dtype, int stop)
    {
        using TemporaryFolder folder = Fixtures.Temporary();
        (StepRecord[] whole, Dictionary<string, Tensor> end) = Train(lora, dtype, null, null);
        var cancel = new CancellationTokenSource();
        var stopper = new ImmediateProgress<StepRecord>(r =>
        {
            if (r.Step == stop) cancel.Cancel();
        });
        Assert.ThrowsAny<OperationCanceledException>(() =>
            Train(lora, dtype, Checkpoints(folder) with { EverySteps = 1000 }, stopper, cancel.Token));
        Assert.Equal([$"step-{stop + 1:D6}"], Names(folder));

        (StepRecord[] resumed, Dictionary<string, Tensor> again) =
            Train(lora, dtype, Checkpoints(folder) with { Resume = RunCheckpointOptions.Latest }, null);
        Assert.Equal(whole.Select(r => (r.Step, r.Loss, r.GradientNorm)), resumed.Select(r => (r.Step, r.Loss, r.GradientNorm)));
        foreach ((string name, Tensor value) in end) Assert.Equal(0, Largest(again[name], value));
    }

    [Fact]
    public void The_newest_are_kept_and_one_can_be_asked_for()
    {
        using TemporaryFolder folder = Fixtures.Temporary();
        var request = new CheckpointRequest();
        var seen = new List<string[]>();
        var watch = new ImmediateProgress<StepRecord>(r =>
        {
            seen.Add([.. Names(folder)]);
            if (r.Step == 4) request.Make();
        });
        Train(true, ScalarType.Float32, Checkpoints(folder) with { EverySteps = 3, Keep = 2, Request = request }, watch);
        Assert.Equal(["step-000003"], seen[3]);
        Assert.Equal(["step-000003", "step-000005"], seen[5]);
        Assert.Equal(["step-000009", "step-000010"], Names(folder));
        Assert.Empty(Directory.EnumerateDirectories(folder.Path, ".*"));
    }

    [Fact]
    public void Another_runs_checkpoint_is_refused_by_the_options_name()
    {
        using TemporaryFolder folder = Fixtures.Temporary();
        Train(true, ScalarType.Float32, Checkpoints(folder), null);
        RunCheckpointOptions resume = Checkpoints(folder) with { Resume = RunCheckpointOptions.Latest };
        void Refused(string name, Func<FineTuneOptions, FineTuneOptions> change, int seed = 1)
        {
            using DiffusionGemmaModel model = Load(ScalarType.Float32);
            FineTuneOptions options = change(TinyRows.Options with { Lora = new LoraOptions(), Checkpoints = resume });
            var error = Assert.Throws<TrainingException>(() => FineTuner.Fit(model, TinyRows.Make(24, seed), options));
            Assert.Contains(name, error.Message, StringComparison.Ordinal);
            Assert.Null(model.Adapter);
        }
        Refused("Seed was 42 and is 7", o => o with { Seed = 7 });
        Refused("GlobalBatchSize", o => o with { GlobalBatchSize = 8 });
        Refused("LearningRate", o => o with { LearningRate = 1e-3 });
        Refused("Lora", o => o with { Lora = new LoraOptions { Rank = 4 } });
        Refused("Rows", o => o, seed: 2);
        Refused("holds checkpoints of an earlier run", o => o with { Checkpoints = resume with { Resume = null } });
        Refused("cannot be resumed", o => o with { Checkpoints = resume with { Resume = folder.File("step-000077") } });
        Assert.Equal(["step-000010"], Names(folder));

        using DiffusionGemmaModel accepted = Load(ScalarType.Float32);
        FineTuneOptions longer = TinyRows.Options with
        {
            Lora = new LoraOptions(),
            MaxSteps = 12,
            Checkpoints = resume with { AcceptChanged = ["Steps"] },
        };
        using FineTuneResult result = FineTuner.Fit(accepted, TinyRows.Make(24), longer);
        Assert.Equal(12, result.History.Count);
    }

    [Fact]
    public void Damage_is_named()
    {
        using TemporaryFolder folder = Fixtures.Temporary();
        Train(true, ScalarType.Float32, Checkpoints(folder), null);
        RunCheckpointOptions resume = Checkpoints(folder) with { Resume = RunCheckpointOptions.Latest };
        string tensors = Path.Combine(folder.Path, "step-000010", "state.safetensors"),
            state = Path.Combine(folder.Path, "step-000010", "state.json");
        byte[] whole = File.ReadAllBytes(tensors);
        File.WriteAllBytes(tensors, whole[..(whole.Length / 2)]);
        Assert.Contains("cannot be resumed", Assert.Throws<TrainingException>(() => Train(true, ScalarType.Float32, resume, null)).Message,
            StringComparison.Ordinal);
        File.WriteAllBytes(tensors, whole);
        File.WriteAllText(state, "{");
        Assert.Contains("cannot be resumed", Assert.Throws<TrainingException>(() => Train(true, ScalarType.Float32, resume, null)).Message,
            StringComparison.Ordinal);
    }

    [Fact]
    public void A_cancelled_run_may_return_what_it_has()
    {
        using DiffusionGemmaModel model = Load(ScalarType.Float32);
        var cancel = new CancellationTokenSource();
        var stopper = new ImmediateProgress<StepRecord>(r =>
        {
            if (r.Step == 2) cancel.Cancel();
        });
        using FineTuneResult result = FineTuner.Fit(
            model, TinyRows.Make(24),
            TinyRows.Options with { Lora = new LoraOptions(), Run = TinyRows.Options.Run with { ReturnOnCancellation = true } }, stopper,
            cancel.Token);
        Assert.Equal(RunEnd.Cancelled, result.End);
        Assert.Equal(3, result.History.Count);
        Assert.Same(model.Adapter, result.Adapter);
        model.Adapter = null;
    }

    private static string[] Names(TemporaryFolder folder) =>
        [.. Directory.EnumerateDirectories(folder.Path, "step-*").Select(d => Path.GetFileName(d)!).Order(StringComparer.Ordinal)];

    private static RunCheckpointOptions Checkpoints(TemporaryFolder folder) => new() { Folder = folder.Path, Keep = 1 };

    private static DiffusionGemmaModel Load(ScalarType dtype) => DiffusionGemmaModel.Load(Fixtures.Checkpoint("tiny-2layer"), dtype: dtype);

    private static (StepRecord[] History, Dictionary<string, Tensor> End) Train(
        bool lora, ScalarType dtype, RunCheckpointOptions? checkpoints, IProgress<StepRecord>? progress,
        CancellationToken cancellation = default)
    {
        using DiffusionGemmaModel model = Load(dtype);
        FineTuneOptions options = TinyRows.Options with { Lora = lora ? new LoraOptions() : null, Checkpoints = checkpoints };
        using FineTuneResult result = FineTuner.Fit(model, TinyRows.Make(24), options, progress, cancellation);
        var end = lora ? result.Adapter!.Parameters() : model.Stack.Parameters;
        var copies = end.ToDictionary(p => p.Key, p => p.Value.clone());
        model.Adapter = null;
        return ([.. result.History], copies);
    }
}
