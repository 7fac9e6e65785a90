using System.Text.Json;
using static TorchSharp.torch;

namespace DiffusionGemma;

/// <summary>
/// The references' twenty steps on several ranks, as close as one rank comes (TrainingFixtureTests); and all of one rank's numbers, in
/// float64 to 1e-10.
/// </summary>
public class RanksFixtureTests : TorchTest
{
    [Theory]
    [InlineData("nemo", "full", 2, null, ScalarType.Float32, 1e-4)]
    [InlineData("nemo", "full", 4, 2, ScalarType.Float32, 1e-4)]
    [InlineData("nemo", "lora", 4, null, ScalarType.Float32, 1e-4)]
    [InlineData("tiny-6layer", "full", 4, null, ScalarType.Float64, 1e-8)]
    [InlineData("tiny-6layer", "lora", 2, null, ScalarType.Float64, 1e-8)]
    public void Ranks_keep_to_the_reference(string name, string kind, int ranks, int? expertParallel, ScalarType dtype, double tolerance)
    {
        var fixture = new TrainingFixture(name);
        using var model = DiffusionGemmaModel.Load(Fixtures.Checkpoint(fixture.CheckpointName), TestDevice.Current, dtype);
        using FineTuneResult result = fixture.Train(model, kind,
            fixture.Options with
            {
                Devices = Device.Cpu(ranks),
                Parallel = fixture.Options.Parallel with { ExpertParallel = expertParallel }
            });
        IReadOnlyList<JsonElement> steps = fixture.Steps(kind);
        Assert.Equal(steps.Count, result.History.Count);
        foreach ((StepRecord got, JsonElement expected) in result.History.Zip(steps))
        {
            double Expected(string key) => expected.GetProperty(key).GetDouble();
            Assert.Equal(Expected("loss"), got.Loss, tolerance * Math.Max(1, got.Loss));
            Assert.Equal(Expected("diffusion_loss"), got.DiffusionLoss, tolerance * Math.Max(1, got.Loss));
            Assert.Equal(Expected("grad_norm"), got.GradientNorm, tolerance * Math.Max(1, got.GradientNorm));
        }
        model.Adapter = null;
    }

    [Fact]
    public void Ranks_come_to_one_ranks_numbers()
    {
        var fixture = new TrainingFixture("nemo");
        using DiffusionGemmaModel one = Load(), several = Load();
        using FineTuneResult expected = fixture.Train(one, "full"),
            got = fixture.Train(several, "full", fixture.Options with { Devices = Device.Cpu(4) });
        foreach ((StepRecord a, StepRecord b) in expected.History.Zip(got.History))
        {
            Assert.Equal(a.DiffusionLoss, b.DiffusionLoss, 1e-10);
            Assert.Equal(a.EncoderLoss, b.EncoderLoss, 1e-10);
            Assert.Equal(a.GradientNorm, b.GradientNorm, 1e-10 * Math.Max(1, a.GradientNorm));
        }
        // Adam divides small gradients by their own size, so rounding in them shows more in a weight than in a loss.
        foreach (string name in expected.TrainedTensors)
            Assert.True(Largest(several.Stack.Parameters[name], one.Stack.Parameters[name]) <= 1e-7, name);
        DiffusionGemmaModel Load() =>
            DiffusionGemmaModel.Load(Fixtures.Checkpoint(fixture.CheckpointName), TestDevice.Current, ScalarType.Float64);
    }
}
