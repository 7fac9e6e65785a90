using static TorchSharp.torch;

namespace DiffusionGemma;

/// <summary>
/// Passes and gradients of transformers (eager, float32). Tolerances are the fixtures' own: in float64 what is left is the reference's
/// float32 rounding (7e-5 with six layers), so 1e-4; in float32 both round, so 2e-4.
/// </summary>
public class ForwardFixtureTests : TorchTest
{
    public static TheoryData<string, ScalarType, double> Models()
    {
        var data = new TheoryData<string, ScalarType, double>();
        foreach (string name in new[] { "tiny-2layer", "tiny-6layer", "tiny-bf16-sharded" })
        {
            foreach (ScalarType dtype in new[] { ScalarType.Float64, ScalarType.Float32 }) data.Add(name, dtype, Tolerances.Passes(dtype));
        }
        return data;
    }

    [Theory]
    [MemberData(nameof(Models))]
    public void Every_case_equals_the_reference(string name, ScalarType dtype, double tolerance)
    {
        using var model = DiffusionGemmaModel.Load(Fixtures.Checkpoint(name), TestDevice.Current, dtype);
        using SafetensorsFile fixture = SafetensorsFile.Open(Fixtures.Path("forward", $"{name}.safetensors"));
        Tensor F(string key) => fixture.Read(key);
        void Close(string key, Tensor got, Tensor? mask = null) =>
            Assert.True(Largest(got, F(key), mask) <= tolerance, $"{key}: {Largest(got, F(key), mask):e1}");

        foreach (string scenario in new[] { "plain", "padded", "long", "long_padded" })
        {
            Tensor mask = F($"{scenario}.prompt_mask").to(ScalarType.Bool), canvas = F($"{scenario}.canvas_ids");
            Tensor sc = F($"{scenario}.sc_logits").to(dtype);
            using EncoderCache cache = model.Encode(F($"{scenario}.prompt_ids"), mask);
            Close($"{scenario}.encoder_hidden", cache.LastHiddenState, mask);
            Close($"{scenario}.encoder_logits", model.Logits(cache.LastHiddenState), mask);
            Close($"{scenario}.logits", model.Decode(canvas, cache));
            Close($"{scenario}.logits_sc", model.Decode(canvas, cache, sc));
            Close($"{scenario}.logits_sc_mask", model.Decode(canvas, cache, sc, F($"{scenario}.sc_mask").to(ScalarType.Bool)));
            foreach (string key in fixture.Tensors.Keys.Where(k => k.StartsWith($"{scenario}.keys.", StringComparison.Ordinal)))
            {
                int layer = int.Parse(key.Split('.')[^1]);
                // sliding layers: the window's positions only
                Tensor keys = F(key);
                long first = cache.Length - keys.shape[2];
                Close(key, cache.Layers[layer].Keys.narrow(2, first, keys.shape[2]));
                Close(key.Replace(".keys.", ".values."), cache.Layers[layer].Values.narrow(2, first, keys.shape[2]));
            }
            if (scenario != "long") continue;
            Assert.Same(cache, model.Encode(F("next.ids"), past: cache));
            Assert.Equal(F("long.prompt_ids").shape[1] + F("next.ids").shape[1], cache.Length);
            Close("next.encoder_hidden", cache.LastHiddenState);
            Close("next.logits", model.Decode(canvas, cache));
        }
    }

    [Theory]
    [InlineData("tiny-2layer", ScalarType.Float64, 1e-4)]
    [InlineData("tiny-6layer", ScalarType.Float64, 1e-4)]
    [InlineData("tiny-2layer", ScalarType.Float32, 2e-4)]
    [InlineData("tiny-6layer", ScalarType.Float32, 2e-4)]
    public void Gradients_equal_the_reference(string name, ScalarType dtype, double tolerance)
    {
        using var model = DiffusionGemmaModel.Load(Fixtures.Checkpoint(name), TestDevice.Current, dtype);
        using SafetensorsFile fixture = SafetensorsFile.Open(Fixtures.Path("forward", $"{name}.safetensors"));
        foreach (Tensor parameter in model.Stack.Parameters.Values) parameter.requires_grad_(true);

        Tensor Read(string key) => fixture.Read(key).to(model.Device);
        Tensor prompt = Read("plain.prompt_ids");
        PassContext encoder = new(Pass.Encoder), decoder = encoder with { Pass = Pass.Decoder };
        using EncoderCache cache = model.Encode(prompt, null, null, encoder);
        Tensor hidden = model.Decode(
            Read("plain.canvas_ids"), cache, Read("plain.sc_logits").to(dtype), null, null, null, decoder);
        Tensor decoded = model.Logits(hidden, decoder);
        Tensor encoded = model.Logits(cache.LastHiddenState, decoder).narrow(1, 0, prompt.shape[1] - 1);
        Tensor loss = nn.functional.cross_entropy(decoded.flatten(0, 1), Read("grad.target").flatten())
            + nn.functional.cross_entropy(encoded.flatten(0, 1), prompt.narrow(1, 1, prompt.shape[1] - 1).flatten());
        decoder.Backward.Run(loss);

        Assert.True(Largest(loss, fixture.Read("grad.loss")) <= tolerance);
        int compared = 0;
        foreach ((string parameter, Tensor tensor) in model.Stack.Parameters)
        {
            if (!fixture.Tensors.ContainsKey($"grad.{parameter}")) continue;
            Assert.NotNull(tensor.grad);
            Tensor expected = fixture.Read($"grad.{parameter}");
            double error = Largest(tensor.grad, expected);
            Assert.True(error <= tolerance, $"{parameter}: {error:e1}");
            compared++;
        }
        Assert.Equal(fixture.Tensors.Keys.Count(k => k.StartsWith("grad.model.", StringComparison.Ordinal)), compared);
    }
}
