using System.Diagnostics;
using TorchSharp;
using static TorchSharp.torch;

namespace DiffusionGemma;

[Collection(Alone.Name)]
public class FineTunerAloneTests : TorchTest
{
    private static readonly FineTuneOptions Options = TinyRows.Options with { Epochs = 100 };

    /// <summary>
    /// TorchSharp as released frees tensors in use when a collection falls into a native call; the build mends it. Losses to the last bit:
    /// memory that was freed and taken again would first show as wrong numbers.
    /// </summary>
    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void Collections_on_another_thread_change_no_bit(bool lora)
    {
        FineTuneOptions options = Options with
        {
            Lora = lora ? new LoraOptions { Experts = true } : null,
            MaxSteps = 10,
            Run = Options.Run with { MicroBatchSize = 1 }
        };
        double[] undisturbed = Losses(options);

        using var collecting = new CollectingThread();
        var clock = Stopwatch.StartNew();
        do Assert.Equal(undisturbed, Losses(options));
        while (clock.Elapsed < TimeSpan.FromSeconds(3) || collecting.Collections < 50);
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void Thirty_steps_leave_no_tensor_behind(bool lora)
    {
        using var model = Load();
        FineTuneOptions options = Options with { Lora = lora ? new LoraOptions { Experts = true } : null, MaxSteps = 40 };
        long before = 0;
        var progress = new ImmediateProgress<StepRecord>(record =>
        {
            if (record.Step == 9) before = Alone.SettledTensors();
            if (record.Step == 39) Alone.AssertNoMoreTensorsThan(before);
        });
        using (FineTuner.Fit(model, TinyRows.Make(40), options, progress)) { }
    }

    /// <summary>
    /// A caller may train within a scope of its own: what it keeps is in the model and the result, and nothing is in the scope.
    /// </summary>
    [Theory]
    [InlineData(true, ScalarType.Float32)]
    [InlineData(false, ScalarType.Float32)]
    [InlineData(true, ScalarType.BFloat16)]
    [InlineData(false, ScalarType.BFloat16)]
    public void A_callers_scope_keeps_no_tensor(bool lora, ScalarType precision)
    {
        using DisposeScope scope = NewDisposeScope();
        using TemporaryFolder folder = Fixtures.Temporary();
        int n = 0;
        FineTuneOptions With(int ranks, int workers, bool recompute) => Options with
        {
            Lora = lora ? new LoraOptions { Experts = true } : null,
            OutputFolder = lora ? null : folder.File($"output-{n++}"),
            MaxSteps = 2,
            Devices = Device.Cpu(ranks),
            Parallel = Options.Parallel with { Workers = workers },
            Run = Options.Run with { Precision = precision, DryRun = true, ActivationCheckpointing = recompute },
            Evaluation = new EvaluationOptions { Examples = TinyRows.Make(2, seed: 2), EverySteps = 1, Patience = 5, KeepBest = true },
            Checkpoints = new RunCheckpointOptions { Folder = folder.File($"checkpoints-{n++}"), EverySteps = 1 },
        };
        foreach (FineTuneOptions options in new[] { With(1, 1, true), With(1, 2, false), With(2, 1, false) })
        {
            using (FineTuneResult result = FineTuner.Fit(Fixtures.Checkpoint("tiny-2layer"), TinyRows.Make(8), options)) { }
            Assert.Equal(0, scope.DisposablesCount);
            using (DiffusionGemmaModel model = DiffusionGemmaModel.Load(Fixtures.Checkpoint("tiny-2layer"), CPU, precision))
            using (FineTuneResult result = FineTuner.Fit(model, TinyRows.Make(8), options with { Checkpoints = null }))
                model.Adapter = null;
            Assert.Equal(0, scope.DisposablesCount);
        }
    }

    [Fact]
    public void Runs_leave_no_tensor_behind()
    {
        using var model = Load();
        void Run(LoraOptions? lora, bool recompute = false, int workers = 1)
        {
            using (FineTuner.Fit(model, TinyRows.Make(8),
                Options with
                {
                    Lora = lora,
                    MaxSteps = 2,
                    Run = Options.Run with { ActivationCheckpointing = recompute },
                    Parallel = Options.Parallel with { Workers = workers }
                })) model.Adapter = null;
        }
        long before = 0;
        for (int n = 0; n < 6; n++)
        {
            if (n == 2) before = Alone.SettledTensors();
            Run(null);
            Run(new LoraOptions { Experts = true });
            Run(null, recompute: true);
            Run(new LoraOptions(), recompute: true);
            Run(new LoraOptions { Dropout = 0.2 }, workers: 2);
            Run(null, workers: 2);
        }
        Alone.AssertNoMoreTensorsThan(before);
    }

    [Fact]
    public void Dropout_follows_the_seed()
    {
        FineTuneOptions With(double dropout, int seed) =>
            Options with { Lora = new LoraOptions { Dropout = dropout }, Seed = seed, MaxSteps = 6 };
        double[] first = Losses(With(0.5, 3));
        Assert.Equal(first, Losses(With(0.5, 3)));
        Assert.NotEqual(first, Losses(With(0, 3)));
        Assert.NotEqual(first, Losses(With(0.5, 4)));
    }

    [Fact]
    public void A_resumed_run_draws_the_same_dropout()
    {
        using TemporaryFolder folder = Fixtures.Temporary();
        FineTuneOptions options = Options with { Lora = new LoraOptions { Dropout = 0.5 }, MaxSteps = 8 };
        FineTuneOptions Stored(string? resume) =>
            options with { Checkpoints = new RunCheckpointOptions { Folder = folder.Path, EverySteps = 3, Keep = 9, Resume = resume } };
        double[] whole = Losses(options);
        Assert.Equal(whole, Losses(Stored(null)));
        Assert.Equal(whole, Losses(Stored("step-000003")));
    }

    /// <summary>Dropout is the adapter's own, and off outside training.</summary>
    [Fact]
    public void Dropout_is_off_outside_training()
    {
        using var model = Load();
        using FineTuneResult result =
            FineTuner.Fit(model, TinyRows.Make(40), Options with { Lora = new LoraOptions { Dropout = 0.5 }, MaxSteps = 3 });
        Assert.Equal(0, Largest(new PlainCase("tiny-2layer").Run(model).Logits, new PlainCase("tiny-2layer").Run(model).Logits));
        double[] Further()
        {
            using TemporaryFolder folder = Fixtures.Temporary();
            result.Adapter!.Save(folder.Path, "tiny-2layer");
            using var other = Load();
            using LoraAdapter adapter = LoraAdapter.Load(folder.Path, other);
            other.Adapter = adapter;
            return [
                .. FineTuner.Fit(other, TinyRows.Make(40), Options with { Lora = new LoraOptions(), MaxSteps = 3 })
                .History.Select(h => h.Loss)];
        }
        Assert.Equal(Further(), Further());
    }

    private static double[] Losses(FineTuneOptions options)
    {
        using var model = Load();
        using FineTuneResult result = FineTuner.Fit(model, TinyRows.Make(40), options);
        return [.. result.History.Select(h => h.Loss)];
    }

    private static DiffusionGemmaModel Load() =>
        DiffusionGemmaModel.Load(Fixtures.Checkpoint("tiny-2layer"), TestDevice.Current, ScalarType.Float32);
}
