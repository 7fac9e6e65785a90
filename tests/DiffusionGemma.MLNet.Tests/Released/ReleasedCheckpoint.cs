using System.Runtime.InteropServices;
using System.Text.Json.Nodes;
using static TorchSharp.torch;

namespace DiffusionGemma.Released;

/// <summary>
/// Writes a checkpoint with random weights straight in 4 bits (pack-quantized, groups of 32), a layer at a time, with tiny-chat's tokenizer
/// and template. Values are as large as those of a fresh model, so that activations stay finite.
/// </summary>
internal static class ReleasedCheckpoint
{
    private const int Group = 32;

    /// <summary>The root-mean-square of a random number of four bits, less 8.</summary>
    private const double Spread = 4.63;

    public static void Write(ReleasedShape shape, string folder)
    {
        RequireRoom(shape, folder);
        var random = new Random(1);
        var map = new SortedDictionary<string, string>(StringComparer.Ordinal);
        using var generator = new Generator(1);
        void File(string name, Action<Dictionary<string, Tensor>> fill)
        {
            using var scope = NewDisposeScope();
            var tensors = new Dictionary<string, Tensor>();
            fill(tensors);
            SafetensorsFile.Write(Path.Combine(folder, name), tensors, new Dictionary<string, string>
            {
                ["format"] = "pt", [QuantizedWeights.EmbeddingKey] = QuantizedWeights.EmbeddingValue,
            });
            foreach (string tensor in tensors.Keys) map[tensor] = name;
        }
        Tensor Normal(long rows, long columns) =>
            randn([rows, columns], ScalarType.Float32, generator: generator).mul_(1 / Math.Sqrt(columns)).to(ScalarType.BFloat16);
        string FileOf(int n) => $"model-{n + 1:D5}-of-{shape.Layers + 1:D5}.safetensors";

        for (int n = 0; n < shape.Layers; n++)
        {
            int layer = n;
            File(FileOf(n), tensors => Layer(shape, layer, tensors, random, Normal));
        }
        File(FileOf(shape.Layers), tensors =>
        {
            const string prefix = "model.decoder.", conditioning = prefix + "self_conditioning.";
            tensors[prefix + "embed_tokens.weight"] = Normal(shape.Vocabulary, ReleasedShape.Hidden);
            tensors[prefix + "norm.weight"] = Ones(ReleasedShape.Hidden);
            tensors[conditioning + "pre_norm.weight"] = Ones(ReleasedShape.Hidden);
            tensors[conditioning + "gate_proj.weight"] = Normal(ReleasedShape.Dense, ReleasedShape.Hidden);
            tensors[conditioning + "up_proj.weight"] = Normal(ReleasedShape.Dense, ReleasedShape.Hidden);
            tensors[conditioning + "down_proj.weight"] = Normal(ReleasedShape.Hidden, ReleasedShape.Dense);
        });
        var weights = new JsonObject();
        foreach ((string tensor, string file) in map) weights[tensor] = file;
        var index = new JsonObject { ["metadata"] = new JsonObject(), ["weight_map"] = weights };
        System.IO.File.WriteAllText(Path.Combine(folder, "model.safetensors.index.json"), index.ToJsonString());
        System.IO.File.WriteAllText(Path.Combine(folder, "config.json"), Config(shape));
        foreach (string name in new[] { "tokenizer.json", "tokenizer_config.json", "chat_template.jinja" })
            System.IO.File.Copy(Path.Combine(Fixtures.Checkpoint("tiny-chat"), name), Path.Combine(folder, name));
    }

    private static void Layer(
        ReleasedShape shape, int n, Dictionary<string, Tensor> tensors, Random random, Func<long, long, Tensor> normal)
    {
        string prefix = $"model.decoder.layers.{n}.";
        long hidden = ReleasedShape.Hidden, dense = ReleasedShape.Dense, expert = ReleasedShape.Expert;
        long queries = ReleasedShape.Heads * shape.HeadDim(n), keys = shape.KeyValueHeads(n) * shape.HeadDim(n);
        void Matrix(string module, long rows, long columns)
        {
            Tensor packed = empty(rows, columns / 8, ScalarType.Int32);
            random.NextBytes(MemoryMarshal.AsBytes(NativeTensors.Elements<int>(packed)));
            tensors[$"{prefix}{module}.weight_packed"] = packed;
            tensors[$"{prefix}{module}.weight_scale"] =
                full([rows, columns / Group], 1 / (Spread * Math.Sqrt(columns)), dtype: ScalarType.BFloat16);
            tensors[$"{prefix}{module}.weight_shape"] = tensor(new[] { rows, columns });
        }
        Matrix("self_attn.q_proj", queries, hidden);
        Matrix("self_attn.k_proj", keys, hidden);
        if (!shape.IsFull(n)) Matrix("self_attn.v_proj", keys, hidden);
        Matrix("self_attn.o_proj", hidden, queries);
        foreach ((string part, long rows, long columns) in
            new[] { ("gate_proj", dense, hidden), ("up_proj", dense, hidden), ("down_proj", hidden, dense) })
            Matrix($"mlp.{part}", rows, columns);
        for (int e = 0; e < shape.Experts; e++)
            foreach ((string part, long rows, long columns) in
                new[] { ("gate_proj", expert, hidden), ("up_proj", expert, hidden), ("down_proj", hidden, expert) })
                Matrix($"experts.{e}.{part}", rows, columns);
        foreach (string norm in (string[])
            ["input_layernorm", "post_attention_layernorm", "pre_feedforward_layernorm", "pre_feedforward_layernorm_2",
             "post_feedforward_layernorm", "post_feedforward_layernorm_1", "post_feedforward_layernorm_2"])
            tensors[$"{prefix}{norm}.weight"] = Ones(hidden);
        tensors[prefix + "self_attn.q_norm.weight"] = Ones(shape.HeadDim(n));
        tensors[prefix + "self_attn.k_norm.weight"] = Ones(shape.HeadDim(n));
        tensors[prefix + "router.proj.weight"] = normal(shape.Experts, hidden);
        tensors[prefix + "router.scale"] = Ones(hidden);
        tensors[prefix + "router.per_expert_scale"] = Ones(shape.Experts);
        tensors[prefix + "layer_scalar"] = Ones(1);
        tensors[$"model.encoder.language_model.layers.{n}.layer_scalar"] = Ones(1);
    }

    private static Tensor Ones(long count) => ones(count, ScalarType.BFloat16);

    private static string Config(ReleasedShape shape)
    {
        JsonObject root = JsonNode.Parse(File.ReadAllText(Path.Combine(Fixtures.Checkpoint("tiny-chat"), "config.json")))!.AsObject();
        JsonNode quantized = JsonNode.Parse(File.ReadAllText(Fixtures.Path("quantized", "int4-fused", "config.json")))!;
        root["canvas_length"] = shape.Canvas;
        root["quantization_config"] = quantized["quantization_config"]!.DeepClone();
        JsonObject text = root["text_config"]!.AsObject();
        foreach ((string option, int value) in new[]
        {
            ("vocab_size", shape.Vocabulary), ("hidden_size", ReleasedShape.Hidden), ("intermediate_size", ReleasedShape.Dense),
            ("moe_intermediate_size", ReleasedShape.Expert), ("num_experts", shape.Experts), ("top_k_experts", 8),
            ("num_hidden_layers", shape.Layers), ("num_attention_heads", ReleasedShape.Heads), ("num_key_value_heads", 8),
            ("head_dim", 256), ("sliding_window", 1024), ("max_position_embeddings", 262_144),
        })
            text[option] = value;
        int[] layers = [.. Enumerable.Range(0, shape.Layers)];
        text["layer_types"] = new JsonArray(
            [.. layers.Select(n => (JsonNode)(shape.IsFull(n) ? "full_attention" : "sliding_attention"))]);
        var perLayer = new JsonObject();
        foreach (int n in layers.Where(shape.IsFull))
            perLayer[$"{n}"] = new JsonObject { ["head_dim"] = 512, ["num_key_value_heads"] = 2 };
        text["per_layer_config"] = perLayer;
        return root.ToJsonString();
    }

    private static void RequireRoom(ReleasedShape shape, string folder)
    {
        double experts = 3.0 * shape.Layers * shape.Experts * ReleasedShape.Hidden * ReleasedShape.Expert * (0.5 + 2.0 / Group);
        double bytes = experts + 2.0 * shape.Vocabulary * ReleasedShape.Hidden + shape.Layers * 40e6;
        long room = new DriveInfo(folder).AvailableFreeSpace;
        if (room < bytes)
            throw new IOException($"The checkpoint needs {bytes / 1e9:F1} GB in {folder}, which has {room / 1e9:F1} GB free.");
    }
}
