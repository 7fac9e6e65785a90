using static TorchSharp.torch;

namespace DiffusionGemma;

/// <summary>
/// Computing activations again must change nothing, the gradients that reach the encoder through its cache least of all. In float64, within
/// what adding a weight's gradients up in another order leaves.
/// </summary>
public class ActivationCheckpointingTests : TorchTest
{
    [Theory]
    [InlineData(true, 1)]
    [InlineData(true, 4)]
    [InlineData(false, 1)]
    [InlineData(false, 4)]
    public void Losses_and_gradients_are_the_plain_ones(bool lora, int microBatch)
    {
        var fixture = new TrainingFixture("tiny-6layer");
        (StepRecord[] plain, Dictionary<string, Tensor> end) = Train(checkpointing: false);
        (StepRecord[] again, Dictionary<string, Tensor> same) = Train(checkpointing: true);
        foreach ((StepRecord first, StepRecord second) in plain.Zip(again))
        {
            Assert.Equal(first.Loss, second.Loss, 1e-10);
            Assert.Equal(first.GradientNorm, second.GradientNorm, 1e-9);
        }
        foreach ((string name, Tensor value) in end) Assert.True(Largest(same[name], value) < 1e-8, name);

        (StepRecord[], Dictionary<string, Tensor>) Train(bool checkpointing)
        {
            using var model = DiffusionGemmaModel.Load(Fixtures.Checkpoint("tiny-6layer"), dtype: ScalarType.Float64);
            FineTuneOptions options = fixture.Options with
            {
                Run = fixture.Options.Run with { ActivationCheckpointing = checkpointing, MicroBatchSize = microBatch },
                MaxSteps = 5,
                WarmupSteps = 2,
                Lora = lora ? new LoraOptions { Experts = true } : null,
            };
            using FineTuneResult result = FineTuner.Fit(model, fixture.Examples, options);
            var parameters = (lora ? result.Adapter!.Parameters() : model.Stack.Parameters).ToDictionary(p => p.Key, p => p.Value.clone());
            model.Adapter = null;
            return ([.. result.History], parameters);
        }
    }

    [Fact]
    public void Dropout_beside_it_is_refused()
    {
        using var model = DiffusionGemmaModel.Load(Fixtures.Checkpoint("tiny-2layer"));
        var error = Assert.Throws<ArgumentException>(() => FineTuner.Fit(
            model, TinyRows.Make(8),
            TinyRows.Options with
            {
                Run = TinyRows.Options.Run with { ActivationCheckpointing = true },
                Lora = new LoraOptions { Dropout = 0.1 }
            }));
        Assert.Contains("dropout", error.Message, StringComparison.Ordinal);
        Assert.Null(model.Adapter);
    }
}
