using System.Collections.Concurrent;
using System.Text.Json;
using TorchSharp;
using static TorchSharp.torch;

namespace DiffusionGemma;

/// <summary>
/// The reference's twenty steps on several ranks. In float64 losses, norms and parameters of any number of ranks agree to 1e-10 with one rank's: only
/// the order of sums is another. In float32 the reference's own tolerance.
/// </summary>
public class RanksFixtureTests : TorchTest
{
    private static readonly ConcurrentDictionary<(string, string), (StepRecord[], Dictionary<string, Tensor>)> OneRank = [];

    [Theory]
    [InlineData("nemo", "full", 2, null)]
    [InlineData("nemo", "full", 4, null)]
    [InlineData("nemo", "full", 4, 2)]
    [InlineData("nemo", "lora", 2, null)]
    [InlineData("nemo", "lora", 4, 1)]
    [InlineData("tiny-6layer", "full", 2, null)]
    [InlineData("tiny-6layer", "lora", 4, null)]
    public void Ranks_come_to_one_ranks_numbers(string name, string kind, int ranks, int? expertParallel)
    {
        var fixture = new TrainingFixture(name);
        (StepRecord[] expected, Dictionary<string, Tensor> expectedEnd) = OneRank.GetOrAdd((name, kind), _ => Train(fixture.Options));
        (StepRecord[] got, Dictionary<string, Tensor> gotEnd) = Train(fixture.Options with { Devices = Device.Cpu(ranks), ExpertParallel = expertParallel });

        Assert.Equal(expected.Length, got.Length);
        foreach ((StepRecord a, StepRecord b) in expected.Zip(got))
        {
            Assert.Equal(a.DiffusionLoss, b.DiffusionLoss, 1e-10);
            Assert.Equal(a.EncoderLoss, b.EncoderLoss, 1e-10);
            Assert.Equal(a.GradientNorm, b.GradientNorm, 1e-10 * Math.Max(1, a.GradientNorm));
            Assert.Equal(a.Tokens, b.Tokens);
        }
        Assert.Equal(expectedEnd.Keys.Order(), gotEnd.Keys.Order());
        // Adam divides small gradients by their own size, so rounding in them shows more in a weight than in a loss.
        foreach ((string parameter, Tensor value) in expectedEnd) Assert.True(Largest(gotEnd[parameter], value) <= 1e-7, $"{parameter}: {Largest(gotEnd[parameter], value):e1}");

        (StepRecord[] History, Dictionary<string, Tensor> End) Train(FineTuneOptions options)
        {
            using var model = DiffusionGemmaModel.Load(Fixtures.Checkpoint(fixture.CheckpointName), CPU, ScalarType.Float64);
            using FineTuneResult result = fixture.Train(model, kind, options);
            var end = kind == "full"
                ? result.TrainedTensors.ToDictionary(t => t, t => model.Stack.Parameters[t].clone().DetachFromDisposeScope())
                : result.Adapter!.Parameters().ToDictionary(p => p.Key, p => p.Value.clone().DetachFromDisposeScope());
            model.Adapter = null;
            return ([.. result.History], end);
        }
    }

    [Theory]
    [InlineData("full", 2)]
    [InlineData("lora", 4)]
    public void Ranks_keep_to_the_reference_in_float32(string kind, int ranks)
    {
        var fixture = new TrainingFixture("nemo");
        using var model = DiffusionGemmaModel.Load(Fixtures.Checkpoint(fixture.CheckpointName), CPU, ScalarType.Float32);
        using FineTuneResult result = fixture.Train(model, kind, fixture.Options with { Devices = Device.Cpu(ranks) });
        foreach ((StepRecord got, JsonElement expected) in result.History.Zip(fixture.Steps(kind)))
            Assert.Equal(expected.GetProperty("loss").GetDouble(), got.Loss, 1e-4 * Math.Max(1, got.Loss));
        model.Adapter = null;
    }
}
