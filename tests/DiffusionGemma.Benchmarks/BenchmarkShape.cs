using System.Text.Json;
using static TorchSharp.torch;

namespace DiffusionGemma.Benchmarks;

/// <summary>
/// A checkpoint of the benchmark's shape with random weights, and rows to train on: 86.8 M parameters, four canvases a row.
/// </summary>
internal static class BenchmarkShape
{
    public const int DefaultPrompt = 128, DefaultResponse = 256, DefaultExperts = 32, Canvas = 64;

    /// <summary>Writes the checkpoint below out/ once, and returns its folder.</summary>
    public static string Checkpoint(bool quick, int experts = DefaultExperts)
    {
        string folder =
            Path.Combine(Fixtures.Root, "out", $"benchmark{(quick ? "-quick" : "")}{(experts == DefaultExperts ? "" : $"-{experts}")}");
        if (File.Exists(Path.Combine(folder, "model.safetensors"))) return folder;
        Directory.CreateDirectory(folder);
        File.WriteAllText(Path.Combine(folder, "config.json"), Config(quick, experts));
        DiffusionGemmaConfig config = DiffusionGemmaConfig.Load(folder);

        DiffusionGemmaRuntime.EnsureUsable();
        using var scope = NewDisposeScope();
        using var generator = new Generator(1);
        Tensor Draw(string name, long[] shape) =>
            name.EndsWith("layer_scalar", StringComparison.Ordinal) || name.Contains("norm", StringComparison.Ordinal)
                || name.EndsWith("scale", StringComparison.Ordinal)
                ? ones(shape)
                : randn(shape, generator: generator) * (name.Contains("embed", StringComparison.Ordinal) ? 0.05
                    : Math.Pow(shape[^1], -0.5));
        SafetensorsFile.Write(
            Path.Combine(folder, "model.safetensors"),
            CheckpointLayout.Expected(config).ToDictionary(e => e.Key, e => Draw(e.Key, e.Value)),
            new Dictionary<string, string> { ["format"] = "pt" });
        return folder;
    }

    /// <summary>Packed rows of random tokens.</summary>
    public static IReadOnlyList<TrainingExample> Rows(int count, DiffusionGemmaConfig config, int prompt = DefaultPrompt,
        int response = DefaultResponse)
    {
        var random = new Random(1);
        int length = prompt + response;
        bool[] mask = [.. Enumerable.Range(0, length).Select(i => i >= prompt)];
        return
        [
            .. Enumerable.Range(0, count).Select(_ => CanvasPacking.Pack(
                [.. Enumerable.Range(0, length).Select(_ => random.Next(8, config.VocabularySize))], mask, config.CanvasLength, length,
                eosId: 1)!),
        ];
    }

    private static string Config(bool quick, int experts)
    {
        int scale = quick ? 4 : 1;
        return JsonSerializer.Serialize(new
        {
            architectures = new[] { "DiffusionGemmaForBlockDiffusion" },
            model_type = "diffusion_gemma",
            dtype = "float32",
            canvas_length = Canvas,
            tie_word_embeddings = true,
            eos_token_id = new[] { 1 },
            text_config = new
            {
                vocab_size = 32768 / scale, hidden_size = 512 / scale, intermediate_size = 768 / scale, moe_intermediate_size = 192 / scale,
                num_experts = experts, top_k_experts = 4, num_hidden_layers = 6, num_attention_heads = 8, num_key_value_heads = 4,
                head_dim = 64 / scale,
                global_head_dim = 128 / scale, num_global_key_value_heads = 1, sliding_window = 128, max_position_embeddings = 4096,
                rms_norm_eps = 1e-6,
                final_logit_softcapping = 30.0, hidden_activation = "gelu_pytorch_tanh", use_bidirectional_attention = "vision",
                attention_bias = false,
                attention_dropout = 0.0, bos_token_id = 2, eos_token_id = 1, pad_token_id = 0,
                layer_types =
                    new[] { "sliding_attention", "sliding_attention", "sliding_attention", "sliding_attention", "sliding_attention",
                        "full_attention" },
                rope_parameters = new
                {
                    sliding_attention = new { rope_type = "default", rope_theta = 10_000.0 },
                    full_attention = new { rope_type = "proportional", rope_theta = 1_000_000.0, partial_rotary_factor = 0.25 },
                },
            },
        });
    }
}
