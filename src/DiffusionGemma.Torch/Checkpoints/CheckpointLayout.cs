namespace DiffusionGemma;

/// <summary>The names and shapes of a checkpoint's tensors by its config.json.</summary>
internal static class CheckpointLayout
{
    public const string Embedding = "model.decoder.embed_tokens.weight";

    private const string Decoder = "model.decoder.";
    private const string Encoder = "model.encoder.language_model.";
    private const string Head = "lm_head.weight";
    private static readonly string[] Vision = ["model.encoder.vision_tower.", "model.encoder.embed_vision."];

    /// <summary>Returns the shape of every required text tensor. The encoder has only its layer scalars of its own.</summary>
    public static IReadOnlyDictionary<string, long[]> Expected(DiffusionGemmaConfig config)
    {
        long hidden = config.HiddenSize, dense = config.IntermediateSize, expert = config.MoeIntermediateSize, experts = config.NumExperts;
        var shapes = new Dictionary<string, long[]>
        {
            [Embedding] = [config.VocabularySize, hidden],
            [Decoder + "norm.weight"] = [hidden],
            [Decoder + "self_conditioning.pre_norm.weight"] = [hidden],
            [Decoder + "self_conditioning.gate_proj.weight"] = [dense, hidden],
            [Decoder + "self_conditioning.up_proj.weight"] = [dense, hidden],
            [Decoder + "self_conditioning.down_proj.weight"] = [hidden, dense],
        };
        for (int n = 0; n < config.NumHiddenLayers; n++)
        {
            LayerShape attention = config.Layer(n);
            long queries = (long)config.NumAttentionHeads * attention.HeadDim;
            long keys = (long)attention.KeyValueHeads * attention.HeadDim;
            string layer = $"{Decoder}layers.{n}.";
            foreach (string norm in (string[])
                ["input_layernorm", "post_attention_layernorm", "pre_feedforward_layernorm", "pre_feedforward_layernorm_2",
                 "post_feedforward_layernorm", "post_feedforward_layernorm_1", "post_feedforward_layernorm_2"])
                shapes[$"{layer}{norm}.weight"] = [hidden];
            shapes[layer + "layer_scalar"] = [1];
            shapes[$"{Encoder}layers.{n}.layer_scalar"] = [1];

            shapes[layer + "self_attn.q_proj.weight"] = [queries, hidden];
            shapes[layer + "self_attn.k_proj.weight"] = [keys, hidden];
            if (attention.Kind == AttentionKind.Sliding) shapes[layer + "self_attn.v_proj.weight"] = [keys, hidden];
            shapes[layer + "self_attn.o_proj.weight"] = [hidden, queries];
            shapes[layer + "self_attn.q_norm.weight"] = [attention.HeadDim];
            shapes[layer + "self_attn.k_norm.weight"] = [attention.HeadDim];

            shapes[layer + "mlp.gate_proj.weight"] = [dense, hidden];
            shapes[layer + "mlp.up_proj.weight"] = [dense, hidden];
            shapes[layer + "mlp.down_proj.weight"] = [hidden, dense];

            shapes[layer + "router.proj.weight"] = [experts, hidden];
            shapes[layer + "router.scale"] = [hidden];
            shapes[layer + "router.per_expert_scale"] = [experts];
            shapes[layer + "experts.gate_up_proj"] = [experts, 2 * expert, hidden];
            shapes[layer + "experts.down_proj"] = [experts, hidden, expert];
        }
        return shapes;
    }

    /// <summary>Returns true for a tensor of the vision part, which this library copies and never reads.</summary>
    public static bool IsVision(string name) => Vision.Any(prefix => name.StartsWith(prefix, StringComparison.Ordinal));

    /// <summary>
    /// Returns the name of the decoder's tensor that a stored tensor is a tied copy of (the head, or the encoder's stack), or null.
    /// </summary>
    public static string? TiedTo(string name) =>
        name == Head ? Embedding
        : !name.StartsWith(Encoder, StringComparison.Ordinal) ? null
        : name.StartsWith(Encoder + "self_conditioning.", StringComparison.Ordinal) ? null
        : name.EndsWith(".layer_scalar", StringComparison.Ordinal) ? null
        : Decoder + name[Encoder.Length..];
}
