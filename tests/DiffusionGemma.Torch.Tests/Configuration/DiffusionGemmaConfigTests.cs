using System.Text.Json.Nodes;
using static TorchSharp.torch;

namespace DiffusionGemma;

public class DiffusionGemmaConfigTests
{
    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void The_released_config_is_read_in_both_forms(bool perLayer)
    {
        DiffusionGemmaConfig config = DiffusionGemmaConfig.Parse(ReleasedConfig.Json(perLayer), "config.json");

        Assert.Equal(
            (256, 262144, 2816, 2112, 704, 128, 8, 30),
            (config.CanvasLength, config.VocabularySize, config.HiddenSize, config.IntermediateSize, config.MoeIntermediateSize,
            config.NumExperts,
                config.TopKExperts, config.NumHiddenLayers));
        Assert.Equal((16, 8, 256, 512, 2),
            (config.NumAttentionHeads, config.NumKeyValueHeads, config.HeadDim, config.GlobalHeadDim, config.NumGlobalKeyValueHeads));
        Assert.Equal((1024, 262144, 1e-6, 30.0, 0.02),
            (config.SlidingWindow, config.MaxPositionEmbeddings, config.RmsNormEpsilon, config.FinalLogitSoftcapping,
                config.InitializerRange));
        Assert.Equal((2, 0, 255999, 258882, 258880),
            (config.BosTokenId, config.PadTokenId, config.BoiTokenId, config.EoiTokenId, config.ImageTokenId));
        Assert.Equal([1, 106], config.EosTokenIds);
        Assert.Equal(ScalarType.BFloat16, config.DType);
        Assert.Equal([5, 11, 17, 23, 29], Enumerable.Range(0, 30).Where(n => config.LayerTypes[n] == AttentionKind.Full));
        Assert.Equal(new LayerShape(AttentionKind.Sliding, 256, 8, new RopeParameters(10_000)), config.Layer(4));
        Assert.Equal(new LayerShape(AttentionKind.Full, 512, 2, new RopeParameters(1_000_000, 0.25)), config.Layer(5));
        Assert.Equal(128, config.Layer(4).Rope.RotatedFrequencies(256));
        Assert.Equal(64, config.Layer(5).Rope.RotatedFrequencies(512));
    }

    [Theory]
    [InlineData("tiny-2layer", 8, 32, 1, ScalarType.Float32)]
    [InlineData("tiny-6layer", 16, 24, 1, ScalarType.Float32)]
    [InlineData("tiny-nemo", 8, 16, 1, ScalarType.Float32)]
    [InlineData("tiny-bf16-sharded", 8, 32, 1, ScalarType.BFloat16)]
    [InlineData("tiny-chat", 32, 64, 1, ScalarType.BFloat16)]
    public void The_small_checkpoints_configs_are_read(string name, int canvas, int globalHeadDim, int globalHeads, ScalarType dtype)
    {
        DiffusionGemmaConfig config = DiffusionGemmaConfig.Load(Fixtures.Checkpoint(name));

        Assert.Equal((canvas, globalHeadDim, globalHeads, dtype),
            (config.CanvasLength, config.GlobalHeadDim, config.NumGlobalKeyValueHeads, config.DType));
        Assert.Equal(30.0, config.FinalLogitSoftcapping);                // tiny-chat's file does not say so: it is the reference's default
        Assert.Equal(config.NumHiddenLayers, config.LayerTypes.Count);
        Assert.Throws<ArgumentOutOfRangeException>(() => config.Layer(config.NumHiddenLayers));
    }

    [Fact]
    public void A_layer_may_have_a_shape_of_its_own_whatever_its_kind()
    {
        DiffusionGemmaConfig config =
            Parse(text => text["per_layer_config"]!["3"] = new JsonObject { ["head_dim"] = 128, ["num_key_value_heads"] = 4 },
                perLayer: true);

        Assert.Equal((AttentionKind.Sliding, 128, 4), (config.Layer(3).Kind, config.Layer(3).HeadDim, config.Layer(3).KeyValueHeads));
        Assert.Equal((256, 8), (config.Layer(2).HeadDim, config.Layer(2).KeyValueHeads));
        Assert.Equal((512, 2), (config.GlobalHeadDim, config.NumGlobalKeyValueHeads));
    }

    [Fact]
    public void Full_layers_without_heads_of_their_own_have_the_sliding_layers()
    {
        Assert.Equal(8, Parse(text => text["num_global_key_value_heads"] = null).NumGlobalKeyValueHeads);
        Assert.Equal(8, Parse(text => text.Remove("num_global_key_value_heads")).NumGlobalKeyValueHeads);
        Assert.Equal(8, Parse(text => text["per_layer_config"]!["29"]!.AsObject().Remove("num_key_value_heads"), perLayer: true)
            .NumGlobalKeyValueHeads);
    }

    [Fact]
    public void What_the_reference_has_a_default_for_may_be_missing()
    {
        DiffusionGemmaConfig config = Parse(text =>
        {
            string[] options =
            [
                "hidden_activation", "attention_bias", "attention_dropout", "tie_word_embeddings", "bos_token_id", "pad_token_id",
                "rope_parameters", "use_bidirectional_attention", "initializer_range", "final_logit_softcapping", "model_type",
            ];
            foreach (string option in options)
                text.Remove(option);
        });

        Assert.Equal((2, 0, 30.0, 0.02), (config.BosTokenId, config.PadTokenId, config.FinalLogitSoftcapping, config.InitializerRange));
        Assert.Equal(new RopeParameters(1_000_000, 0.25), config.RopeParameters[AttentionKind.Full]);
    }

    /// <summary>Numbers are compared, not their spelling.</summary>
    [Theory]
    [InlineData("0")]
    [InlineData("0.00")]
    [InlineData("0e0")]
    [InlineData("null")]
    public void A_value_that_is_the_supported_one_may_be_spelt_otherwise(string zero)
    {
        Assert.Equal(2816, Parse(text => text["attention_dropout"] = JsonNode.Parse(zero)).HiddenSize);
        string one = zero == "null" ? zero : $"1{zero[1..]}";
        Assert.Equal(2816, Parse(text => text["rope_parameters"]!["full_attention"]!["factor"] = JsonNode.Parse(one)).HiddenSize);
    }

    /// <summary>Sizes too: whoever reads the file with transformers gets these, and tensors of other shapes are named.</summary>
    [Fact]
    public void Sizes_may_be_missing_where_they_are_the_references()
    {
        string[] sizes =
        [
            "vocab_size", "hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads", "num_key_value_heads", "head_dim",
            "sliding_window", "max_position_embeddings", "rms_norm_eps", "layer_types", "global_head_dim", "num_global_key_value_heads",
        ];
        DiffusionGemmaConfig config = Parse(text => Array.ForEach(sizes, size => text.Remove(size)), root => root.Remove("canvas_length"));
        Assert.Equal(
            (256, 262144, 2304, 9216, 30, 8, 4, 256, 512, 131072, 1e-6),
            (config.CanvasLength, config.VocabularySize, config.HiddenSize, config.IntermediateSize, config.NumHiddenLayers,
                config.NumAttentionHeads, config.NumKeyValueHeads, config.HeadDim, config.SlidingWindow, config.MaxPositionEmbeddings,
                config.RmsNormEpsilon));
        Assert.Equal((512, 4), (config.GlobalHeadDim, config.NumGlobalKeyValueHeads));
        Assert.Equal([5, 11, 17, 23, 29], Enumerable.Range(0, 30).Where(n => config.LayerTypes[n] == AttentionKind.Full));
    }

    /// <summary>Every sixth layer, and the last.</summary>
    [Theory]
    [InlineData(1, new[] { 0 })]
    [InlineData(8, new[] { 5, 7 })]
    public void Layer_types_left_out_are_five_sliding_and_a_full_one(int layers, int[] full) =>
        Assert.Equal(full, Enumerable.Range(0, layers).Where(n => Parse(text =>
        {
            text["num_hidden_layers"] = layers;
            text["layer_types"] = null;
        }).LayerTypes[n] == AttentionKind.Full));

    [Fact]
    public void Options_that_are_not_known_do_not_matter()
    {
        DiffusionGemmaConfig config =
            Parse(text => text["attn_implementation"] = "eager", root: root => root["transformers_version"] = "9.9");
        Assert.Equal(2816, config.HiddenSize);
    }

    [Fact]
    public void The_ids_that_end_an_answer_are_the_roots_then_the_text_parts()
    {
        Assert.Equal([7], Parse(root: root => root["eos_token_id"] = 7).EosTokenIds);
        Assert.Equal([1], Parse(root: root => root.Remove("eos_token_id")).EosTokenIds);
    }

    [Fact]
    public void The_dtypes_older_name_is_read()
    {
        DiffusionGemmaConfig config = Parse(root: root =>
        {
            root.Remove("dtype");
            root["torch_dtype"] = "float32";
        });
        Assert.Equal(ScalarType.Float32, config.DType);
    }

    /// <summary>
    /// Older files have none, transformers also writes null or "auto", and its older versions the name of a torch object.
    /// </summary>
    [Theory]
    [InlineData(null, null)]
    [InlineData("null", null)]
    [InlineData("\"auto\"", null)]
    [InlineData("\"torch.float32\"", ScalarType.Float32)]
    public void A_dtype_may_be_left_to_the_weights(string? json, ScalarType? expected) =>
        Assert.Equal(expected, Parse(root: root =>
        {
            root.Remove("dtype");
            if (json is not null) root["dtype"] = JsonNode.Parse(json);
        }).DType);

    /// <summary>As in Python: the first of two is not even looked at.</summary>
    [Fact]
    public void Of_equal_keys_the_last_counts()
    {
        string json = ReleasedConfig.Json(perLayer: true);
        DiffusionGemmaConfig config = DiffusionGemmaConfig.Parse(
            "{\"canvas_length\": \"no number\", \"canvas_length\": 1," + json[1..json.LastIndexOf('}')] + ", \"canvas_length\": 7}",
            "config.json");
        Assert.Equal(7, config.CanvasLength);

        JsonObject own = JsonNode.Parse(json)!.AsObject();
        string layers = own["text_config"]!["per_layer_config"]!.ToJsonString(), text = own.ToJsonString();
        string twice = text.Replace(layers, "{\"5\":{\"sliding_window\":3}," + layers[1..], StringComparison.Ordinal);
        Assert.NotEqual(text, twice);
        Assert.Equal(512, DiffusionGemmaConfig.Parse(twice, "config.json").GlobalHeadDim);
    }

    public static TheoryData<string, string> BadText => new()
    {
        { "hidden_activation", "\"silu\"" },
        { "attention_bias", "true" },
        { "attention_dropout", "0.1" },
        { "tie_word_embeddings", "false" },
        { "use_bidirectional_attention", "\"all\"" },
        { "model_type", "\"gemma4_text\"" },
        { "layer_types", "[\"full_attention\"]" },
        { "layer_types", "\"full_attention\"" },
        { "layer_types", "[1]" },
        { "num_hidden_layers", "0" },
        { "hidden_size", "-1" },
        { "hidden_size", "2816.5" },
        { "hidden_size", "\"2816\"" },
        { "hidden_size", "null" },
        { "intermediate_size", "99999999999" },
        { "num_key_value_heads", "0" },
        { "num_attention_heads", "12" },
        { "head_dim", "255" },
        { "top_k_experts", "129" },
        { "num_experts", "null" },
        { "rms_norm_eps", "0" },
        { "final_logit_softcapping", "null" },
        { "final_logit_softcapping", "-30" },
        { "sliding_window", "0" },
        { "bos_token_id", "262144" },
        { "pad_token_id", "null" },
        { "pad_token_id", "-1" },
        { "per_layer_config", "3" },
        { "rope_parameters", "[]" },
    };

    [Theory]
    [MemberData(nameof(BadText))]
    public void A_bad_text_option_is_refused_by_name(string option, string value) =>
        Refused($"text_config.{option}", text => text[option] = JsonNode.Parse(value));

    [Theory]
    [InlineData("num_experts")]
    [InlineData("top_k_experts")]
    [InlineData("moe_intermediate_size")]
    public void A_missing_number_is_named(string option)
    {
        InvalidConfigurationException error = Refused($"text_config.{option}", text => text.Remove(option));
        Assert.Contains("is missing", error.Message);
    }

    [Theory]
    [InlineData("model_type", "\"gemma4\"")]
    [InlineData("dtype", "\"int8\"")]
    [InlineData("canvas_length", "0")]
    [InlineData("tie_word_embeddings", "false")]
    [InlineData("eos_token_id", "[]")]
    [InlineData("eos_token_id", "[1, \"x\"]")]
    [InlineData("eos_token_id", "[1, 262144]")]
    [InlineData("text_config", "[]")]
    [InlineData("text_config", "null")]
    public void A_bad_root_option_is_refused_by_name(string option, string value) =>
        Refused(option, root: root => root[option] = JsonNode.Parse(value));

    [Theory]
    [InlineData("full_attention", "rope_type", "\"yarn\"")]
    [InlineData("full_attention", "rope_theta", "0")]
    [InlineData("full_attention", "partial_rotary_factor", "1.5")]
    [InlineData("full_attention", "factor", "8")]
    [InlineData("full_attention", "attention_factor", "2")]
    [InlineData("sliding_attention", "partial_rotary_factor", "0.5")]
    public void A_bad_rope_option_is_refused_by_name(string kind, string option, string value) =>
        Refused($"text_config.rope_parameters.{kind}.{option}", text => text["rope_parameters"]![kind]![option] = JsonNode.Parse(value));

    [Fact]
    public void As_many_layers_as_layer_types_are_demanded() =>
        Assert.Contains("31 of num_hidden_layers", Refused("text_config.layer_types", text => text["num_hidden_layers"] = 31).Message);

    [Fact]
    public void An_unknown_layer_kind_is_refused_by_name()
    {
        Assert.Contains("linear_attention",
            Refused("text_config.layer_types", text => text["layer_types"]![0] = "linear_attention").Message);
        Refused("text_config.layer_types", text => text["layer_types"]![29] = "sliding_attention");
        Refused("text_config.rope_parameters.linear_attention", text => text["rope_parameters"]!["linear_attention"] = new JsonObject());
    }

    [Theory]
    [InlineData("30", "head_dim", "text_config.per_layer_config.30")]
    [InlineData("-1", "head_dim", "text_config.per_layer_config.-1")]
    [InlineData("05", "head_dim", "text_config.per_layer_config.05")]
    [InlineData("3", "sliding_window", "text_config.per_layer_config.3.sliding_window")]
    public void What_a_layer_cannot_have_of_its_own_is_refused_by_name(string layer, string option, string named) =>
        Refused(named, text => text["per_layer_config"]![layer] = new JsonObject { [option] = 64 }, perLayer: true);

    [Theory]
    [InlineData("")]
    [InlineData("[]")]
    [InlineData("{")]
    [InlineData("{\"model_type\": NaN}")]
    [InlineData("{\"model_type\": \"diffusion_gemma\", \"model_type\": \"b\"}")]
    [InlineData("{\"model_type\": \"\\ud800\"}")]
    public void What_is_no_JSON_object_is_refused(string json) =>
        Assert.Equal("x/config.json",
            Assert.Throws<InvalidConfigurationException>(() => DiffusionGemmaConfig.Parse(json, "x/config.json")).ConfigurationFile);

    [Fact]
    public void A_missing_file_is_named()
    {
        using TemporaryFolder folder = Fixtures.Temporary();
        Assert.Contains(folder.File("config.json"),
            Assert.Throws<InvalidConfigurationException>(() => DiffusionGemmaConfig.Load(folder.Path)).Message);
        Assert.Throws<InvalidConfigurationException>(() => DiffusionGemmaConfig.Load(folder.File("nowhere")));
    }

    private static InvalidConfigurationException Refused(string option, Action<JsonObject>? text = null, Action<JsonObject>? root = null,
        bool perLayer = false)
    {
        var error = Assert.Throws<InvalidConfigurationException>(() => Parse(text, root, perLayer));
        Assert.Equal(option, error.Option);
        Assert.Contains(option, error.Message);
        return error;
    }

    private static DiffusionGemmaConfig Parse(Action<JsonObject>? text = null, Action<JsonObject>? root = null, bool perLayer = false)
    {
        JsonObject config = JsonNode.Parse(ReleasedConfig.Json(perLayer))!.AsObject();
        text?.Invoke(config["text_config"]!.AsObject());
        root?.Invoke(config);
        return DiffusionGemmaConfig.Parse(config.ToJsonString(), "config.json");
    }
}
