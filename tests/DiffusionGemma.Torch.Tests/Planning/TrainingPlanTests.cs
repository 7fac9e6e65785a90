using TorchSharp;

namespace DiffusionGemma;

public class TrainingPlanTests : TorchTest
{
    private static readonly DiffusionGemmaConfig Released = DiffusionGemmaConfig.Parse(ReleasedConfig.Json(perLayer: false), "config.json");

    [Fact]
    public void The_real_size_is_the_published_one()
    {
        TrainingPlan lora =
            TrainingPlan.Compute(Released, new FineTuneOptions { Lora = new LoraOptions() }, torch.ScalarType.BFloat16, 1024);
        // 18.59 M: rank 16 on attention and dense projections
        Assert.Equal(18_585_600, lora.TrainedParameters);
        Assert.Equal(22_837_985_280, lora.ExpertParameters);
        Assert.Equal(2 * lora.Parameters + 4 * lora.TrainedParameters, lora.WeightBytes);

        TrainingPlan full = TrainingPlan.Compute(Released, new FineTuneOptions(), torch.ScalarType.BFloat16, 1024);
        // master weights, two moments and gradients in float32
        Assert.Equal(16 * full.TrainedParameters, full.TrainingStateBytes);
        Assert.True(full.StepFlops > lora.StepFlops);
    }

    /// <summary>
    /// Eight devices, in the figures that were worked out by hand: experts 2.85 B, the rest 2.4 B, an eighth of the state; 0.10 s at 30 %
    /// of eight H100s.
    /// </summary>
    [Fact]
    public void Eight_devices_share_experts_state_and_work()
    {
        TrainingPlan full = TrainingPlan.Compute(Released, new FineTuneOptions(), torch.ScalarType.BFloat16, 1024, devices: 8),
            one = TrainingPlan.Compute(Released, new FineTuneOptions(), torch.ScalarType.BFloat16, 1024);
        Assert.Equal(5.7e9, full.ExpertBytes, 0.05e9);
        Assert.Equal(4.8e9, full.WeightBytes - full.ExpertBytes, 0.1e9);
        // Master weights, moments and gradients of an eighth of everything; and until they are reduced, gradients of all but experts.
        long rest = full.TrainedParameters - full.ExpertParameters;
        Assert.Equal(full.TrainedParameters * 2 + rest * 3.5, full.TrainingStateBytes, 8.0);
        Assert.Equal(52e9, full.TrainedParameters * 16 / 8, 2e9);
        Assert.InRange(full.TotalBytes, 65e9, 80e9);
        Assert.Equal(one.StepFlops, 8 * full.StepFlops, 1);
        Assert.Equal(0.10, full.StepFlops / (0.3 * 989e12), 0.01);

        TrainingPlan lora =
            TrainingPlan.Compute(Released, new FineTuneOptions { Lora = new LoraOptions() }, torch.ScalarType.BFloat16, 1024, devices: 8);
        Assert.InRange(lora.TrainingStateBytes + 4 * lora.TrainedParameters, 0.05e9, 0.25e9);
        Assert.Equal(
            TrainingPlan.Compute(Released, new FineTuneOptions(), torch.ScalarType.BFloat16, 1024, devices: 24, expertParallel: 8)
            .ExpertBytes, full.ExpertBytes);
        var error = Assert.Throws<ArgumentException>(() =>
            TrainingPlan.Compute(Released, new FineTuneOptions(), torch.ScalarType.BFloat16, 1024, devices: 6, expertParallel: 3));
        Assert.Contains("128 experts", error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Less_is_kept_with_checkpointing_and_smaller_micro_batches()
    {
        long Activations(FineTuneOptions options) =>
            TrainingPlan.Compute(Released, options, torch.ScalarType.BFloat16, 1024).ActivationBytes;
        var options = new FineTuneOptions { Run = new() { MicroBatchSize = 4 } };
        Assert.Equal(4 * Activations(options with { Run = options.Run with { MicroBatchSize = 1 } }), Activations(options));
        Assert.Equal(Activations(options with { Run = options.Run with { MicroBatchSize = 2 } }),
            Activations(options with { Run = options.Run with { MicroBatchTokens = 2048 } }));
        Assert.True(Activations(options with { Run = options.Run with { ActivationCheckpointing = true } }) < Activations(options) / 5);
    }

    [Fact]
    public void The_trained_parameters_are_those_of_a_run()
    {
        foreach (
            LoraOptions? lora in new[] { null, new LoraOptions { Rank = 3 }, new LoraOptions { Experts = true, Targets = ["q_proj"] } })
        {
            using var model = DiffusionGemmaModel.Load(Fixtures.Checkpoint("tiny-2layer"));
            FineTuneOptions options = TinyRows.Options with { Lora = lora, MaxSteps = 1 };
            using FineTuneResult result = FineTuner.Fit(model, TinyRows.Make(8), options);
            Assert.Equal(
                result.TrainedParameterCount, TrainingPlan.Compute(model.Config, options, torch.ScalarType.Float32, 26).TrainedParameters);
            model.Adapter = null;
        }
    }

    [Fact]
    public void A_run_beyond_its_budget_does_not_start()
    {
        using var model = DiffusionGemmaModel.Load(Fixtures.Checkpoint("tiny-2layer"));
        var error = Assert.Throws<MemoryBudgetException>(() =>
            FineTuner.Fit(model, TinyRows.Make(8), TinyRows.Options with { Run = TinyRows.Options.Run with { MemoryBudget = 100_000 } }));
        Assert.Equal(100_000, error.Budget);
        Assert.True(error.Plan.TotalBytes > 100_000);
        Assert.Contains("MemoryBudget", error.Message, StringComparison.Ordinal);
        Assert.Contains("activations", error.Message, StringComparison.Ordinal);
        using FineTuneResult result = FineTuner.Fit(
            model, TinyRows.Make(8), TinyRows.Options with { Run = TinyRows.Options.Run with { MemoryBudget = 1L << 30 }, MaxSteps = 1 });
        Assert.Single(result.History);
    }
}
