using System.Text.Json.Nodes;

namespace DiffusionGemma.Gpu;

/// <summary>Sizes of a model, as config.json states them, and of the rows that it is measured with.</summary>
/// <param name="Name">For results.</param>
/// <param name="Text">What differs from the released text_config.</param>
/// <param name="Layers">Layers; every sixth is a full one, and the last.</param>
/// <param name="FullHeadDim">Head dimension of full layers.</param>
/// <param name="FullKeyValueHeads">Key and value heads of full layers.</param>
/// <param name="Canvas">Tokens of a canvas.</param>
/// <param name="Prompt">Prompt tokens of a training row and of a question.</param>
/// <param name="Response">Response tokens of a training row.</param>
/// <param name="Batch">Rows of a training step.</param>
internal sealed record ModelShape(
    string Name, IReadOnlyDictionary<string, int> Text, int Layers, int FullHeadDim, int FullKeyValueHeads, int Canvas, int Prompt,
    int Response, int Batch)
{
    private static readonly Dictionary<string, int> BenchmarkText = new()
    {
        ["vocab_size"] = 32_768, ["hidden_size"] = 512, ["intermediate_size"] = 768, ["moe_intermediate_size"] = 192, ["num_experts"] = 32,
        ["top_k_experts"] = 4, ["num_attention_heads"] = 8, ["num_key_value_heads"] = 4, ["head_dim"] = 64, ["sliding_window"] = 128,
        ["max_position_embeddings"] = 4096,
    };

    private static readonly Dictionary<string, int> SmallText = new(BenchmarkText)
    {
        ["vocab_size"] = 2048, ["hidden_size"] = 128, ["intermediate_size"] = 192, ["moe_intermediate_size"] = 64, ["num_experts"] = 8,
        ["head_dim"] = 32,
    };

    /// <summary>The shape of the project's benchmark.</summary>
    public static ModelShape Benchmark { get; } = new("benchmark", BenchmarkText, 6, 128, 1, 64, 128, 256, 4);

    /// <summary>Four layers of the released width.</summary>
    public static ModelShape Middle { get; } = new("middle", new Dictionary<string, int>(), 4, 512, 2, 256, 256, 768, 1);

    public static ModelShape Released { get; } = new("released", new Dictionary<string, int>(), 30, 512, 2, 256, 256, 768, 1);

    /// <summary>A shape for a minute on a CPU.</summary>
    public static ModelShape Small { get; } = new("small", SmallText, 2, 64, 1, 32, 32, 64, 1);

    /// <summary>Writes config.json.</summary>
    public void WriteConfig(string folder, string dtype)
    {
        JsonObject config = JsonNode.Parse(ReleasedConfig.Json(perLayer: false))!.AsObject();
        config["canvas_length"] = Canvas;
        config["dtype"] = dtype;
        // transformers builds the vision part too: a small one, which no pass here uses
        config["vision_config"] = new JsonObject
        {
            ["model_type"] = "gemma4_vision", ["hidden_size"] = 32, ["intermediate_size"] = 64, ["num_hidden_layers"] = 1,
            ["num_attention_heads"] = 2, ["num_key_value_heads"] = 2, ["head_dim"] = 16, ["patch_size"] = 16,
            ["position_embedding_size"] = 64, ["pooling_kernel_size"] = 1,
        };
        JsonObject text = config["text_config"]!.AsObject();
        foreach ((string key, int value) in Text) text[key] = value;
        if (Text.TryGetValue("vocab_size", out int vocabulary))
            foreach ((string key, int back) in new[] { ("boi_token_id", 3), ("eoi_token_id", 2), ("image_token_id", 1) })
                config[key] = vocabulary - back;
        config["eos_token_id"] = new JsonArray(1);
        text["num_hidden_layers"] = Layers;
        text["global_head_dim"] = FullHeadDim;
        text["num_global_key_value_heads"] = FullKeyValueHeads;
        text["layer_types"] = new JsonArray(
            [.. Enumerable.Range(0, Layers).Select(n => (JsonNode)(IsFull(n) ? "full_attention" : "sliding_attention"))]);
        Directory.CreateDirectory(folder);
        File.WriteAllText(Path.Combine(folder, "config.json"), config.ToJsonString());
    }

    private bool IsFull(int layer) => layer % 6 == 5 || layer == Layers - 1;

    /// <summary>Packed rows of random tokens.</summary>
    public IReadOnlyList<TrainingExample> Rows(int count, DiffusionGemmaConfig config)
    {
        var random = new Random(1);
        int length = Prompt + Response;
        bool[] mask = [.. Enumerable.Range(0, length).Select(i => i >= Prompt)];
        return
        [
            .. Enumerable.Range(0, count).Select(_ => CanvasPacking.Pack(
                [.. Enumerable.Range(0, length).Select(_ => random.Next(8, config.VocabularySize - 8))], mask, config.CanvasLength, length,
                eosId: 1)!),
        ];
    }

    /// <summary>Prompts of random tokens.</summary>
    public int[][] Prompts(int count, DiffusionGemmaConfig config)
    {
        var random = new Random(2);
        return
        [
            .. Enumerable.Range(0, count).Select(_ =>
                Enumerable.Range(0, 128).Select(_ => random.Next(8, config.VocabularySize - 8)).ToArray()),
        ];
    }
}
