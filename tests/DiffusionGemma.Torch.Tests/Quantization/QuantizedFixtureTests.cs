using static TorchSharp.torch;

namespace DiffusionGemma;

/// <summary>
/// Folders that compressed-tensors wrote. Values are float32 by the same operations, so equal to the last bit (ModelOpt's were computed
/// from the inverse of its second scale, so one rounding apart); logits are transformers' over the dequantised weights, in float32, so
/// within its own rounding.
/// </summary>
public class QuantizedFixtureTests : TorchTest
{
    private const string Prefix = "dequantised.";

    public static TheoryData<string> Forms => ["int8", "fp8", "int4", "int4-fused", "nvfp4", "mxfp4", "modelopt-nvfp4"];

    [Theory]
    [MemberData(nameof(Forms))]
    public void Values_equal_the_library_that_defines_the_form(string form)
    {
        string folder = Fixtures.Path("quantized", form);
        using Checkpoint checkpoint = Checkpoint.Open(folder);
        using SafetensorsFile expected = SafetensorsFile.Open(Path.Combine(folder, "expected.safetensors"));
        string[] names = [.. expected.Tensors.Keys.Where(key => key.StartsWith(Prefix, StringComparison.Ordinal))];
        Assert.Equal(4, names.Length);
        foreach (string name in names)
        {
            Tensor value = expected.Read(name);
            string weight = name[Prefix.Length..];
            WeightLayout layout = checkpoint.Quantized[weight];
            Assert.Equal(value.shape, layout.Shape);
            Tensor[] slices = [.. Enumerable.Range(0, layout.Slices.Count).Select(slice => cat(
                [.. checkpoint.ReadSlice(weight, slice).Select(matrix => Kernels.Dequantize(matrix, ScalarType.Float32))], 0))];
            Assert.InRange(Largest(value.dim() == 3 ? stack(slices, 0) : slices[0], value), 0, form == "modelopt-nvfp4" ? 1e-7 : 0);
        }
    }

    [Theory]
    [MemberData(nameof(Forms))]
    public void Logits_equal_the_reference_over_the_dequantised_weights(string form)
    {
        string folder = Fixtures.Path("quantized", form);
        using SafetensorsFile expected = SafetensorsFile.Open(Path.Combine(folder, "expected.safetensors"));
        foreach (ScalarType? dtype in new ScalarType?[] { null, ScalarType.Float64 })
        {
            using var model = DiffusionGemmaModel.Load(folder, TestDevice.Current, dtype);
            Assert.Equal(dtype ?? ScalarType.Float32, model.DType);
            Assert.Equal(17, model.Stack.Quantized.Count);
            using EncoderCache cache = model.Encode(expected.Read("input_ids"));
            double tolerance = dtype is null ? 2e-4 : 1e-4;
            Tensor canvas = expected.Read("canvas_ids"), logits = expected.Read("logits");
            Assert.True(Largest(model.Logits(cache.LastHiddenState), expected.Read("encoder_logits")) <= tolerance);
            Assert.True(Largest(model.Decode(canvas, cache), logits) <= tolerance);
            Assert.True(Largest(model.Decode(canvas, cache, logits), expected.Read("logits_sc")) <= tolerance);
        }
    }
}
