using System.Text.Json;
using static TorchSharp.torch;

namespace DiffusionGemma;

/// <summary>
/// Twenty steps of NeMo AutoModel's recipe (float32), and of its plain PyTorch rendering on a checkpoint that NeMo cannot represent
/// (float64). NeMo's losses within 1e-4 in either precision: the drift of 20 float32 steps is 1e-5. Parameters within 1e-3: Adam divides
/// small gradients by their own size, so rounding in them moves a weight by up to a step. tiny-6layer in float64 only, within 1e-8: in
/// float32 two experts tie sooner or later, and the curves part.
/// </summary>
public class TrainingFixtureTests : TorchTest
{
    [Theory]
    [InlineData("nemo", "full", ScalarType.Float32, Tolerances.Losses, 1e-3)]
    [InlineData("nemo", "full", ScalarType.Float64, Tolerances.Losses, 1e-3)]
    [InlineData("nemo", "lora", ScalarType.Float32, Tolerances.Losses, 1e-3)]
    [InlineData("nemo", "lora", ScalarType.Float64, Tolerances.Losses, 1e-3)]
    [InlineData("tiny-6layer", "full", ScalarType.Float64, 1e-8, 1e-6)]
    [InlineData("tiny-6layer", "lora", ScalarType.Float64, 1e-8, 1e-6)]
    public void Twenty_steps_equal_the_reference(string name, string kind, ScalarType dtype, double tolerance, double parameterTolerance)
    {
        var fixture = new TrainingFixture(name);
        using var model = DiffusionGemmaModel.Load(Fixtures.Checkpoint(fixture.CheckpointName), TestDevice.Current, dtype);
        using FineTuneResult result = fixture.Train(model, kind);

        IReadOnlyList<JsonElement> steps = fixture.Steps(kind);
        Assert.Equal(steps.Count, result.History.Count);
        foreach ((StepRecord got, JsonElement expected) in result.History.Zip(steps))
        {
            void Close(string key, double value)
            {
                double want = expected.GetProperty(key).GetDouble(), error = Math.Abs(value - want) / Math.Max(1, Math.Abs(want));
                Assert.True(error <= tolerance, $"step {got.Step} {key}: {value} in place of {want}, off by {error:e1}");
            }
            Close("loss", got.Loss);
            Close("diffusion_loss", got.DiffusionLoss);
            Close("grad_norm", got.GradientNorm);
            Assert.Equal(expected.GetProperty("lr").GetDouble(), got.LearningRate, 12);
        }

        using SafetensorsFile end = fixture.Parameters(kind);
        IEnumerable<(string Name, Tensor Value)> trained = kind == "full"
            ? result.TrainedTensors.Select(t => (t, model.Stack.Parameters[t]))
            : result.Adapter!.Pairs.SelectMany(p =>
                new[] { ($"end.{p.Key}.lora_A.weight", p.Value.Decoder!.A), ($"end.{p.Key}.lora_B.weight", p.Value.Decoder.B) });
        int compared = 0;
        foreach ((string parameter, Tensor value) in trained)
        {
            double error = Largest(value, end.Read(parameter));
            Assert.True(error <= parameterTolerance, $"{parameter}: {error:e1}");
            compared++;
        }
        Assert.True(compared > 20);
    }

    /// <summary>
    /// bfloat16 passes over float32 masters (router, norms, softmax and losses in float32 too) beside the float32 run: 8 bits of mantissa
    /// move a loss of 5 to 7 by hundredths, and here and there a token to another expert. The band: each step within 5 %, their mean within
    /// 1 %.
    /// </summary>
    [Theory]
    [InlineData("full")]
    [InlineData("lora")]
    public void Bfloat16_losses_stay_in_a_band_around_float32(string kind)
    {
        var fixture = new TrainingFixture("nemo");
        StepRecord[] Train(ScalarType dtype)
        {
            using var model = DiffusionGemmaModel.Load(Fixtures.Checkpoint(fixture.CheckpointName), TestDevice.Current, dtype);
            using FineTuneResult result = fixture.Train(model, kind);
            model.Adapter = null;
            return [.. result.History];
        }
        (StepRecord[] wide, StepRecord[] narrow) = (Train(ScalarType.Float32), Train(ScalarType.BFloat16));
        double[] off = [.. wide.Zip(narrow, (w, n) => (n.Loss - w.Loss) / w.Loss)];
        Assert.True(off.Max(Math.Abs) <= Tolerances.BFloat16Losses, $"a step is off by {off.Max(Math.Abs):p2}");
        Assert.True(Math.Abs(off.Average()) <= 0.01, $"off by {off.Average():p2} on average");
        Assert.True(off.Max(Math.Abs) > 1e-6);                                                  // it is another run
    }

    [Theory]
    [InlineData("nemo")]
    [InlineData("tiny-6layer")]
    public void Draws_and_packing_equal_the_reference(string name)
    {
        var fixture = new TrainingFixture(name);
        DiffusionGemmaConfig config = DiffusionGemmaConfig.Load(Fixtures.Checkpoint(fixture.CheckpointName));
        FineTuneOptions o = fixture.Options;
        IReadOnlyList<JsonElement> steps = fixture.Steps("full");
        for (int step = 0; step < steps.Count; step++)
        {
            JsonElement[] examples = [.. steps[step].GetProperty("examples").EnumerateArray()];
            for (int i = 0; i < examples.Length; i++)
            {
                TrainingExample row = fixture.Examples[step * o.GlobalBatchSize + i];
                ExampleDraw draw = ExampleDraws.Draw(
                    o.Seed!.Value, step, i, o.GlobalBatchSize, row, config.CanvasLength, config.VocabularySize, o.Objective.NoiseFloor,
                    o.Objective.SelfConditioningProbability);
                int[] Integers(string key) => [.. examples[i].GetProperty(key).EnumerateArray().Select(v => v.GetInt32())];
                Assert.Equal(Integers("corrupted_ids"), draw.CorruptedIds);
                Assert.Equal(examples[i].GetProperty("block").GetInt32(), draw.Block);
                Assert.Equal(examples[i].GetProperty("coin").GetBoolean(), draw.SelfConditioned);
                if (!examples[i].TryGetProperty("canvas_ids", out _)) continue;

                // The recipe's canvas tensors hold every block; ours would be its slices.
                int size = row.InputIds.Length - row.PrefixLength;
                Assert.Equal(draw.CorruptedIds[row.PrefixLength..], Integers("canvas_ids")[..size]);
                int[] scored = [
                    .. Enumerable.Range(0, size)
                    .Select(j => row.LossMask[row.PrefixLength + j] && j / config.CanvasLength == draw.Block ? 1 : 0)];
                Assert.Equal(scored, Integers("canvas_loss_mask")[..size]);
                if (!examples[i].TryGetProperty("batch", out JsonElement batch)) continue;
                int[] Batch(string key) => [.. batch.GetProperty(key).EnumerateArray().Select(v => (int)v.GetDouble())];
                int[] Padded(IEnumerable<int> values) => [.. values, .. Enumerable.Repeat(0, row.PaddedLength - row.InputIds.Length)];
                Assert.Equal(Padded(row.InputIds), Batch("input_ids"));
                Assert.Equal(Padded(row.LossMask.Select(m => m ? 1 : 0)), Batch("loss_mask"));
                Assert.Equal(Padded(row.InputIds.Select(_ => 1)), Batch("attention_mask"));
            }
        }
    }

    [Fact]
    public void Decoder_sees_what_the_recipe_lets_it_see()
    {
        var fixture = new TrainingFixture("nemo");
        DiffusionGemmaConfig config = DiffusionGemmaConfig.Load(Fixtures.Checkpoint("tiny-nemo"));
        JsonElement[] examples = [.. fixture.Steps("full")[0].GetProperty("examples").EnumerateArray()];
        for (int i = 0; i < examples.Length; i++)
        {
            TrainingExample row = fixture.Examples[i];
            int block = examples[i].GetProperty("block").GetInt32(), start = row.PrefixLength + block * config.CanvasLength,
                length = row.InputIds.Length;
            int size = Math.Min(config.CanvasLength, length - start);
            foreach (
                (string key, AttentionKind kind) in new[] { ("full_attention", AttentionKind.Full),
                    ("sliding_attention", AttentionKind.Sliding) })
            {
                JsonElement[] queries = [.. examples[i].GetProperty("decoder_sees").GetProperty(key).EnumerateArray()];
                int[] expected = [.. queries[block * config.CanvasLength].EnumerateArray().Select(v => v.GetInt32())];
                Tensor mask = AttentionMasks.Decoder(
                    kind, config.SlidingWindow, tensor(new long[] { start }), arange(length).unsqueeze(0),
                    ones(1, length, dtype: ScalarType.Bool),
                    ones(1, size, dtype: ScalarType.Bool));
                Assert.Equal([1L, 1L, size, length + size], mask.shape);
                for (int query = 0; query < size; query++)
                {
                    bool[] seen = mask[0, 0, query].data<bool>().ToArray();
                    Assert.Equal(expected[..length], seen[..length].Select(s => s ? 1 : 0));
                    Assert.Equal(expected[..length],
                        queries[block * config.CanvasLength + query].EnumerateArray().Take(length).Select(v => v.GetInt32()));
                    Assert.All(seen[length..], Assert.True);
                }
            }
        }
    }
}
