using System.Globalization;
using System.Text.Json;
using static TorchSharp.torch;

namespace DiffusionGemma;

/// <summary>
/// Parses config.json to a <see cref="DiffusionGemmaConfig"/>, with the reference's defaults, which writers may leave out; names every
/// option or value that is not supported.
/// </summary>
internal static class ConfigParser
{
    private const string SlidingAttention = "sliding_attention";
    private const string FullAttention = "full_attention";

    private const int MostLayers = 1024, LongestCanvas = 1 << 20;

    /// <summary>More weights than any model has, and few enough that their bytes are counted in 64 bits.</summary>
    private const double MostWeights = 1e15;

    public static DiffusionGemmaConfig Parse(string json, string source)
    {
        try
        {
            using JsonDocument document = JsonDocument.Parse(json);
            if (document.RootElement.ValueKind != JsonValueKind.Object)
                throw new InvalidConfigurationException(source, null, "is not a JSON object.");
            return Read(new ConfigSection(document.RootElement, source), source);
        }
        catch (Exception e) when (e is JsonException or InvalidOperationException or ArgumentException)   // a text that is not Unicode
        {
            throw new InvalidConfigurationException(source, null, $"is not valid JSON: {e.Message}", e);
        }
    }

    /// <summary>Reads the text of ModelOpt's hf_quant_config.json.</summary>
    public static QuantizationSettings ParseModelOpt(string json, string source)
    {
        try
        {
            using JsonDocument document = JsonDocument.Parse(json, new JsonDocumentOptions { AllowDuplicateProperties = false });
            if (document.RootElement.ValueKind != JsonValueKind.Object)
                throw new InvalidConfigurationException(source, null, "is not a JSON object.");
            ConfigSection section = new ConfigSection(document.RootElement, source).Section("quantization");
            return QuantizationParser.ReadModelOptFile(section) with { Source = source };
        }
        catch (Exception e) when (e is JsonException or InvalidOperationException)
        {
            throw new InvalidConfigurationException(source, null, $"is not valid JSON: {e.Message}", e);
        }
    }

    private static DiffusionGemmaConfig Read(ConfigSection root, string source)
    {
        if (root.String("model_type") is not "diffusion_gemma" and var type)
            throw root.Error(
                "model_type", $"is \"{type}\"; only \"diffusion_gemma\" is supported. Name the folder of a DiffusionGemma checkpoint.");
        QuantizationSettings? quantization =
            root.Has("quantization_config") ? QuantizationParser.Read(root.Section("quantization_config")) with { Source = source } : null;
        root.Require("tie_word_embeddings", "true");

        ConfigSection text = root.Section("text_config");
        text.Require("model_type", "\"diffusion_gemma_text\"");
        text.Require("tie_word_embeddings", "true");
        text.Require("hidden_activation", "\"gelu_pytorch_tanh\"");
        text.Require("attention_bias", "false");
        text.Require("attention_dropout", "0.0", "null");
        text.Require("use_bidirectional_attention", "\"vision\"", "null");

        int vocabulary = text.PositiveInt("vocab_size", 262_144);
        int experts = text.PositiveInt("num_experts");
        int topK = text.PositiveInt("top_k_experts");
        if (topK > experts) throw text.Error("top_k_experts", $"is {topK}, more than the {experts} of num_experts.");

        IReadOnlyList<AttentionKind> kinds = ReadKinds(text);
        IReadOnlyDictionary<AttentionKind, RopeParameters> rope = ReadRope(text);
        var config = new DiffusionGemmaConfig
        {
            SourcePath = source,
            Quantization = quantization,
            CanvasLength = root.PositiveInt("canvas_length", 256, LongestCanvas),
            VocabularySize = vocabulary,
            HiddenSize = text.PositiveInt("hidden_size", 2304),
            IntermediateSize = text.PositiveInt("intermediate_size", 9216),
            MoeIntermediateSize = text.PositiveInt("moe_intermediate_size"),
            NumExperts = experts,
            TopKExperts = topK,
            NumHiddenLayers = kinds.Count,
            LayerTypes = kinds,
            NumAttentionHeads = text.PositiveInt("num_attention_heads", 8),
            NumKeyValueHeads = text.PositiveInt("num_key_value_heads", 4),
            HeadDim = text.PositiveInt("head_dim", 256),
            SlidingWindow = text.PositiveInt("sliding_window", 512),
            MaxPositionEmbeddings = text.PositiveInt("max_position_embeddings", 131_072),
            RmsNormEpsilon = text.PositiveDouble("rms_norm_eps", missing: 1e-6),
            // A class default of the reference, which it does not write to the file.
            FinalLogitSoftcapping = text.PositiveDouble("final_logit_softcapping", missing: 30.0),
            InitializerRange = text.PositiveDouble("initializer_range", missing: 0.02),
            BosTokenId = TokenId(text, "bos_token_id", vocabulary, missing: 2),
            PadTokenId = TokenId(text, "pad_token_id", vocabulary, missing: 0),
            EosTokenIds = ReadEos(root, text, vocabulary),
            BoiTokenId = root.Has("boi_token_id") ? root.Int("boi_token_id") : null,
            EoiTokenId = root.Has("eoi_token_id") ? root.Int("eoi_token_id") : null,
            ImageTokenId = root.Has("image_token_id") ? root.Int("image_token_id") : null,
            DType = ReadDType(root),
            RopeParameters = rope,
            Layers = ReadLayers(text, kinds, rope),
        };
        RequireCountable(text, config);
        return config;
    }

    /// <summary>Refuses sizes whose products no computer holds, by the name of the largest.</summary>
    private static void RequireCountable(ConfigSection text, DiffusionGemmaConfig config)
    {
        double hidden = config.HiddenSize;
        double Attention(LayerShape layer) => 2 * hidden * layer.HeadDim * (config.NumAttentionHeads + layer.KeyValueHeads);
        double weights = hidden * config.VocabularySize + config.Layers.Sum(Attention)
            + config.NumHiddenLayers * 3 * hidden * (config.IntermediateSize + (double)config.NumExperts * config.MoeIntermediateSize);
        if (weights <= MostWeights) return;
        (string option, int size) = new[]
        {
            ("hidden_size", config.HiddenSize), ("vocab_size", config.VocabularySize), ("intermediate_size", config.IntermediateSize),
            ("moe_intermediate_size", config.MoeIntermediateSize), ("num_experts", config.NumExperts),
            ("num_attention_heads", config.NumAttentionHeads), ("num_key_value_heads", config.Layers.Max(layer => layer.KeyValueHeads)),
            ("head_dim", config.Layers.Max(layer => layer.HeadDim)),
        }.MaxBy(one => one.Item2);
        throw text.Error(option, string.Create(CultureInfo.InvariantCulture,
            $"is {size}; with it the model has {weights:E1} weights, more than any has. Restore the file from the checkpoint."));
    }

    private static List<AttentionKind> ReadKinds(ConfigSection text)
    {
        int count = text.PositiveInt("num_hidden_layers", 30, MostLayers);
        if (!text.Has("layer_types"))
            return [.. Enumerable.Range(1, count).Select(n => n % 6 == 0 || n == count ? AttentionKind.Full : AttentionKind.Sliding)];
        List<AttentionKind> kinds = [.. text.Strings("layer_types").Select(name => ParseKind(name) ??
            throw text.Error("layer_types", $"has \"{name}\"; only \"{SlidingAttention}\" and \"{FullAttention}\" are supported."))];
        if (kinds.Count != count) throw text.Error("layer_types", $"has {kinds.Count} entries for the {count} of num_hidden_layers.");
        // The reference changes it to a full one without a message.
        if (kinds[^1] != AttentionKind.Full)
            throw text.Error("layer_types", $"ends in \"{SlidingAttention}\"; the last layer must be \"{FullAttention}\".");
        return kinds;
    }

    private static AttentionKind? ParseKind(string name) => name switch
    {
        SlidingAttention => AttentionKind.Sliding,
        FullAttention => AttentionKind.Full,
        _ => null,
    };

    private static Dictionary<AttentionKind, RopeParameters> ReadRope(ConfigSection text)
    {
        if (!text.Has("rope_parameters"))                                                // the reference's default
            return new() { [AttentionKind.Sliding] = new(10_000), [AttentionKind.Full] = new(1_000_000, 0.25) };
        ConfigSection rope = text.Section("rope_parameters");
        foreach (string name in rope.Names)
            if (ParseKind(name) is null)
                throw rope.Error(name, "is not supported: there is one entry for each kind of layer, and no other.");
        return new()
        {
            [AttentionKind.Sliding] = ReadRopeOfKind(rope.Section(SlidingAttention)),
            [AttentionKind.Full] = ReadRopeOfKind(rope.Section(FullAttention)),
        };
    }

    private static RopeParameters ReadRopeOfKind(ConfigSection rope)
    {
        foreach (string name in rope.Names)
            if (name is not ("rope_type" or "rope_theta" or "partial_rotary_factor" or "factor"))
                throw rope.Error(name, "is not supported: remove it if it has no effect.");
        rope.Require("factor", "1.0", "null");
        double fraction = rope.PositiveDouble("partial_rotary_factor", missing: 1.0);
        if (fraction > 1) throw rope.Error("partial_rotary_factor", "is above 1.");
        switch (rope.String("rope_type"))
        {
            case "proportional":
                break;
            case "default" when fraction == 1:
                break;
            case "default":
                throw rope.Error(
                    "partial_rotary_factor", "is below 1; rope_type \"default\" rotates the whole head.");
            case var type:
                throw rope.Error("rope_type", $"is \"{type}\"; only \"default\" and \"proportional\" are supported.");
        }
        return new RopeParameters(rope.PositiveDouble("rope_theta"), fraction);
    }

    private static List<LayerShape> ReadLayers(
        ConfigSection text, IReadOnlyList<AttentionKind> kinds, IReadOnlyDictionary<AttentionKind, RopeParameters> rope)
    {
        int heads = text.PositiveInt("num_attention_heads", 8);
        int headDim = text.PositiveInt("head_dim", 256);
        int keyValueHeads = text.PositiveInt("num_key_value_heads", 4);
        List<LayerShape> layers = [.. kinds.Select(kind => new LayerShape(kind, headDim, keyValueHeads, rope[kind]))];
        if (text.Has("per_layer_config"))
            OverrideLayers(text.Section("per_layer_config"), layers);
        else
            OverrideFullLayers(text, layers);

        for (int n = 0; n < layers.Count; n++)
        {
            if (heads % layers[n].KeyValueHeads != 0)
                throw text.Error(
                    "num_attention_heads",
                    $"is {heads}, which is not a multiple of the {layers[n].KeyValueHeads} key-value heads of layer {n}.");
            if (layers[n].HeadDim % 2 != 0)
                throw text.Error(
                    "head_dim", $"of layer {n} is {layers[n].HeadDim}; it must be even, because its halves are rotated in pairs.");
        }
        return layers;
    }

    /// <summary>
    /// Applies the older form: two options for all full layers. Their defaults in the reference are 512 and the value of sliding layers.
    /// </summary>
    private static void OverrideFullLayers(ConfigSection text, List<LayerShape> layers)
    {
        int headDim = text.Contains("global_head_dim") ? text.PositiveInt("global_head_dim") : 512;
        int keyValueHeads = text.PositiveInt(
            text.Has("num_global_key_value_heads") ? "num_global_key_value_heads" : "num_key_value_heads", 4);
        for (int n = 0; n < layers.Count; n++)
            if (layers[n].Kind == AttentionKind.Full)
                layers[n] = layers[n] with { HeadDim = headDim, KeyValueHeads = keyValueHeads };
    }

    /// <summary>
    /// Applies the newer form: an object of options by layer number. It takes precedence over the older one, as in the reference.
    /// </summary>
    private static void OverrideLayers(ConfigSection perLayer, List<LayerShape> layers)
    {
        var seen = new HashSet<int>();
        foreach (string key in perLayer.Names)
        {
            if (!int.TryParse(key, NumberStyles.None, CultureInfo.InvariantCulture, out int n) || n >= layers.Count)
                throw perLayer.Error(key, $"is not a layer: they are numbered 0 to {layers.Count - 1}.");
            if (!seen.Add(n)) throw perLayer.Error(key, "names a layer for the second time.");
            ConfigSection own = perLayer.Section(key);
            foreach (string option in own.Names)
                layers[n] = option switch
                {
                    "head_dim" => layers[n] with { HeadDim = own.PositiveInt(option) },
                    "num_key_value_heads" => layers[n] with { KeyValueHeads = own.PositiveInt(option) },
                    _ => throw own.Error(option, "is not supported: a layer may only have its own head_dim and num_key_value_heads."),
                };
        }
    }

    private static int TokenId(ConfigSection section, string option, int vocabulary, int missing) =>
        CheckId(section, option, section.Contains(option) ? section.Int(option) : missing, vocabulary);

    /// <summary>Reads the root's ids, or those of text_config if the root has none, as in the reference.</summary>
    private static IReadOnlyList<int> ReadEos(ConfigSection root, ConfigSection text, int vocabulary)
    {
        ConfigSection section = root.Has("eos_token_id") ? root : text;
        IReadOnlyList<int> ids = section.IntOrList("eos_token_id");
        if (ids.Count == 0) throw section.Error("eos_token_id", "is empty; at least one token must end an answer.");
        return [.. ids.Select(id => CheckId(section, "eos_token_id", id, vocabulary))];
    }

    private static int CheckId(ConfigSection section, string option, int id, int vocabulary) =>
        id >= 0 && id < vocabulary
            ? id : throw section.Error(option, $"is {id}, outside the vocabulary of {vocabulary} tokens (vocab_size).");

    /// <summary>Reads the dtype; null where the file leaves it to the weights: absent, null, or "auto".</summary>
    private static ScalarType? ReadDType(ConfigSection root)
    {
        string option = !root.Has("dtype") && root.Has("torch_dtype") ? "torch_dtype" : "dtype";   // torch_dtype before transformers 5
        if (!root.Has(option)) return null;
        string name = root.String(option);
        return (name.StartsWith("torch.", StringComparison.Ordinal) ? name["torch.".Length..] : name) switch
        {
            "bfloat16" => ScalarType.BFloat16,
            "float16" => ScalarType.Float16,
            "float32" => ScalarType.Float32,
            "float64" => ScalarType.Float64,
            "auto" => null,
            _ => throw root.Error(option, $"is \"{name}\"; only bfloat16, float16, float32 and float64 are supported."),
        };
    }
}
