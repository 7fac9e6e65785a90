using System.Text.Json.Nodes;
using static TorchSharp.torch;

namespace DiffusionGemma.Benchmarks;

/// <summary>
/// A bfloat16 checkpoint of two layers of the released model, one of each kind, with random weights: 2.4 billion parameters, of which the
/// embedding has 0.7. The small shape has 16 experts of 128 and a vocabulary of 16 384.
/// </summary>
internal static class QuantizedCheckpointShape
{
    private const long PieceElements = 1 << 24;

    /// <summary>Writes the checkpoint below out/ once, and returns its folder.</summary>
    public static string Checkpoint(bool quick)
    {
        string folder = Path.Combine(Fixtures.Root, "out", $"benchmark-real-layers{(quick ? "-quick" : "")}");
        string weights = Path.Combine(folder, SafetensorsFile.SingleFileName);
        if (File.Exists(weights)) return folder;
        Directory.CreateDirectory(folder);
        File.WriteAllText(Path.Combine(folder, DiffusionGemmaConfig.FileName), Config(quick));
        DiffusionGemmaConfig config = DiffusionGemmaConfig.Load(folder);
        DiffusionGemmaRuntime.EnsureUsable();
        using var generator = new Generator(1);
        TensorSource[] sources =
        [
            .. CheckpointLayout.Expected(config).Select(weight => new TensorSource(
                weight.Key, ScalarType.BFloat16, weight.Value, stream => Draw(weight.Key, weight.Value, generator, stream))),
        ];
        SafetensorsWriter.Write(weights, sources, new Dictionary<string, string> { ["format"] = "pt" });
        return folder;
    }

    /// <summary>Draws a tensor in pieces, so that none is held whole.</summary>
    private static void Draw(string name, long[] shape, Generator generator, Stream stream)
    {
        bool isOne = name.EndsWith("layer_scalar", StringComparison.Ordinal) || name.Contains("norm", StringComparison.Ordinal)
            || name.EndsWith("scale", StringComparison.Ordinal);
        double spread = name == CheckpointLayout.Embedding ? 0.05 : Math.Pow(shape[^1], -0.5);
        long all = shape.Aggregate(1L, (a, b) => a * b);
        for (long first = 0; first < all; first += PieceElements)
        {
            using var scope = NewDisposeScope();
            long count = Math.Min(PieceElements, all - first);
            Tensor piece = isOne ? ones(count) : randn(count, generator: generator).mul_(spread);
            TensorSource.FromTensor(name, piece, ScalarType.BFloat16).WriteTo(stream);
        }
    }

    private static string Config(bool quick)
    {
        JsonObject root = JsonNode.Parse(ReleasedConfig.Json(perLayer: false))!.AsObject();
        JsonObject text = root["text_config"]!.AsObject();
        text["num_hidden_layers"] = 2;
        text["layer_types"] = new JsonArray("sliding_attention", "full_attention");
        if (quick) (text["num_experts"], text["vocab_size"]) = (16, 16_384);
        return root.ToJsonString();
    }
}
