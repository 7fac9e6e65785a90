using System.Text.Json.Nodes;
using static TorchSharp.torch;

namespace DiffusionGemma;

/// <summary>Forms and damages that are refused, by the name of the option or tensor and with the forms that are read.</summary>
public class UnsupportedFormTests : TorchTest
{
    private const string Config = "quantization_config", Weights = $"{Config}.config_groups.group_0.weights";
    private const string Query = "model.decoder.layers.1.self_attn.q_proj";

    [Theory]
    [InlineData("quant_method", "\"gptq\"", "GPTQ")]
    [InlineData("quant_method", "\"awq\"", "AWQ")]
    [InlineData("quant_method", "\"bitsandbytes\"", "bitsandbytes")]
    [InlineData("quant_method", "\"gguf\"", "GGUF")]
    [InlineData("quant_method", "\"fp8\"", "a scale a block")]
    [InlineData("quant_method", "\"quanto\"", "quanto")]
    [InlineData("kv_cache_scheme", "{\"num_bits\": 8}", "cache")]
    [InlineData("sparsity_config", "{\"format\": \"sparse-24-bitmask\"}", "sparsity")]
    [InlineData("transform_config", "{\"config_groups\": {}}", "rotated")]
    [InlineData("quantization_status", "\"frozen\"", "compressed")]
    [InlineData("config_groups.group_0.format", "\"marlin-24\"", "marlin-24")]
    [InlineData("config_groups.group_0.weights.strategy", "\"block\"", "block")]
    [InlineData("config_groups.group_0.weights.strategy", "\"tensor\"", "tensor")]
    [InlineData("config_groups.group_0.weights.actorder", "\"group\"", "order of activations")]
    [InlineData("config_groups.group_0.weights.actorder", "true", "order of activations")]
    [InlineData("config_groups.group_0.weights.num_bits", "3", "3")]
    [InlineData("config_groups.group_0.weights.type", "\"float\"", "float")]
    [InlineData("quant_method", "\"torchao\"", "torchao")]
    [InlineData("quant_method", "\"hqq\"", "hqq")]
    [InlineData("quant_method", "\"mxfp4\"", "mxfp4")]
    public void A_form_is_refused_by_its_name(string option, string value, string named)
    {
        using TemporaryFolder folder = QuantizedCopies.With("int4", config => QuantizedCopies.Set(config, option, value));
        InvalidConfigurationException error = Assert.Throws<InvalidConfigurationException>(() => DiffusionGemmaModel.Load(folder.Path));
        Assert.Equal($"{Config}.{option}", error.Option);
        Assert.Contains(named, error.Message);
        Assert.Contains("nvfp4-pack-quantized", error.Message);                               // the way out: the forms that are read
    }

    [Fact]
    public void Settings_without_a_method_and_other_algorithms_of_ModelOpt_are_refused()
    {
        using TemporaryFolder bare = QuantizedCopies.With("int4", config => config[Config]!.AsObject().Remove("quant_method"));
        Assert.Contains(
            "quantization_config.quant_method is missing",
            Assert.Throws<InvalidConfigurationException>(() => DiffusionGemmaModel.Load(bare.Path)).Message);
        using TemporaryFolder eight = QuantizedCopies.With("modelopt-nvfp4", config => config[Config]!["quant_algo"] = "FP8");
        Assert.Contains("FP8", Assert.Throws<InvalidConfigurationException>(() => DiffusionGemmaModel.Load(eight.Path)).Message);
        using TemporaryFolder pattern = QuantizedCopies.With("int4", config => config[Config]!["ignore"] = new JsonArray("re:(("));
        Assert.Contains("re:((", Assert.Throws<InvalidConfigurationException>(() => DiffusionGemmaModel.Load(pattern.Path)).Message);
    }

    [Fact]
    public void ModelOpts_own_file_is_read_where_config_json_has_no_settings()
    {
        using TemporaryFolder folder = QuantizedCopies.With("modelopt-nvfp4", config => config.Remove(Config));
        using var model = DiffusionGemmaModel.Load(folder.Path);
        Assert.Equal(17, model.Stack.Quantized.Count);
    }

    [Fact]
    public void Quantised_tensors_without_settings_are_refused()
    {
        using TemporaryFolder folder = QuantizedCopies.With("int4", config => config.Remove(Config));
        Assert.Contains("no quantization_config", Refused(folder).Message);
    }

    [Theory]
    [InlineData(".qweight", "AWQ")]
    [InlineData(".weight.absmax", "bitsandbytes")]
    [InlineData(".weight_scale_inv", "a scale a block")]
    [InlineData(".weight_g_idx", "order of activations")]
    [InlineData(".k_scale", "cache")]
    public void A_tensor_of_another_form_is_named(string suffix, string form)
    {
        using TemporaryFolder folder = QuantizedCopies.With("int4", tensors: all => all[Query + suffix] = zeros(1));
        CheckpointException error = Refused(folder);
        Assert.Contains(Query + suffix, error.Message);
        Assert.Contains(form, error.Message);
    }

    [Theory]
    [InlineData("int4", "weight_scale", "its scale is missing")]
    [InlineData("int4", "weight_zero_point", "zero points are missing")]
    [InlineData("int4", "weight_packed", "weight is missing")]
    [InlineData("int8", "weight_scale", "its scale is missing")]
    [InlineData("int8", "weight", "weight is missing")]
    public void A_missing_part_is_named(string form, string part, string problem)
    {
        using TemporaryFolder folder = QuantizedCopies.With(form, tensors: all => Assert.True(all.Remove($"{Query}.{part}")));
        CheckpointException error = Refused(folder);
        Assert.Contains(Query, error.Message);
        Assert.Contains(problem, error.Message);
    }

    [Theory]
    [InlineData(double.NaN)]
    [InlineData(double.PositiveInfinity)]
    public void A_scale_that_is_not_finite_is_named(double value)
    {
        foreach (string form in new[] { "int4", "int8", "int4-fused" })
        {
            string name = form == "int4-fused" ? "model.decoder.layers.1.experts.down_proj_scale" : $"{Query}.weight_scale";
            using TemporaryFolder folder = QuantizedCopies.With(form, tensors: all => all[name].flatten()[-1] = value);
            CheckpointException error = Refused(folder);
            Assert.Equal(name, error.Tensor);
            Assert.Contains("not finite", error.Message);
        }
    }

    [Fact]
    public void Scales_and_weights_of_other_shapes_are_named()
    {
        void Edit(string form, string problem, Action<Dictionary<string, Tensor>> edit)
        {
            using TemporaryFolder folder = QuantizedCopies.With(form, tensors: edit);
            CheckpointException error = Refused(folder);
            Assert.Contains(Query, error.Message);
            Assert.Contains(problem, error.Message);
        }
        string scale = $"{Query}.weight_scale";
        Edit("int4", "must divide the row", all => all[scale] = ones(128, 3, ScalarType.BFloat16));
        Edit("int4", "groups of 32", all =>
        {
            all[scale] = ones(128, 4, ScalarType.BFloat16);
            all[$"{Query}.weight_zero_point"] = zeros(16, 4, ScalarType.Int32);
        });
        Edit("int4", "another shape", all => all[scale] = ones(64, 2, ScalarType.BFloat16));
        Edit("int4", "another shape", all => all[$"{Query}.weight_packed"] = zeros(64, 8, ScalarType.Int32));
        Edit("int4", "neither 4 nor 8 bits", all => all[$"{Query}.weight_packed"] = zeros(128, 6, ScalarType.Int32));
        Edit("int4", "config.json says pack-quantized of 4", all =>
        {
            all[$"{Query}.weight_packed"] = zeros(128, 16, ScalarType.Int32);
            all[$"{Query}.weight_zero_point"] = zeros(32, 2, ScalarType.Int32);
        });
        Edit("int8", "have one", all => all[scale] = ones(128, 2, ScalarType.BFloat16));
        Edit("int8", "no form that is supported", all => all[$"{Query}.weight"] = zeros(128, 64, ScalarType.Int16));
    }

    /// <summary>compressed-tensors reads false as no order.</summary>
    [Fact]
    public void Columns_without_an_order_may_say_false()
    {
        using TemporaryFolder folder = QuantizedCopies.With(
            "int4", config => QuantizedCopies.Set(config, "config_groups.group_0.weights.actorder", "false"));
        using var model = DiffusionGemmaModel.Load(folder.Path);
        Assert.Equal(17, model.Stack.Quantized.Count);
    }

    /// <summary>Parts that would change values, beside a form that has none of them.</summary>
    [Fact]
    public void A_part_of_another_form_is_named()
    {
        void Named(string part, string problem, TemporaryFolder folder)
        {
            using (folder)
            {
                CheckpointException error = Refused(folder);
                Assert.Contains(part, error.Message);
                Assert.Contains(problem, error.Message);
            }
        }
        foreach (string form in new[] { "int4", "int8" })
            foreach (string part in new[] { "weight_global_scale", "weight_scale_2" })
                Named($"{Query}.{part}", "a form that has one scale", QuantizedCopies.With(
                    form, tensors: all => all[$"{Query}.{part}"] = ones(1, ScalarType.Float32)));
        TemporaryFolder both = QuantizedCopies.With("nvfp4");
        QuantizedCopies.Rename(
            both, $"{Query.Replace("q_proj", "k_proj")}.weight_global_scale\"", $"{Query}.weight_scale_2\"     ");
        Named($"{Query}.weight_scale_2", "stands beside", both);
        Named($"{Query}.weight_packed", "has zero points", QuantizedCopies.With(
            "int4", config => QuantizedCopies.Set(config, "config_groups.group_0.weights.symmetric", "true"),
            all =>
            {
                foreach (string name in all.Keys.Where(n => n.EndsWith("_zero_point") && !n.StartsWith(Query)).ToArray()) all.Remove(name);
            }));
    }

    [Fact]
    public void A_missing_second_scale_is_named()
    {
        using TemporaryFolder folder = QuantizedCopies.With("nvfp4");
        QuantizedCopies.Rename(folder, $"{Query}.weight_global_scale", $"{Query}.weight_global_other");
        Assert.Contains("has no second scale", Refused(folder).Message);
    }

    [Fact]
    public void A_matrix_may_stay_unquantised()
    {
        using TemporaryFolder folder = QuantizedCopies.With("int4", tensors: all =>
        {
            foreach (string part in new[] { Query, "model.decoder.layers.1.experts.2.up_proj" })
            {
                foreach (string key in all.Keys.Where(k => k.StartsWith($"{part}.", StringComparison.Ordinal)).ToArray()) all.Remove(key);
                all[$"{part}.weight"] = part == Query ? ones(128, 64, ScalarType.BFloat16) : ones(32, 64, ScalarType.BFloat16);
            }
        });
        using var model = DiffusionGemmaModel.Load(folder.Path);
        Assert.Equal(16, model.Stack.Quantized.Count);
        using EncoderCache cache = model.Encode(tensor(new long[,] { { 5, 6, 7 } }));
        Assert.True(cache.LastHiddenState.isfinite().all().item<bool>());
    }

    private static CheckpointException Refused(TemporaryFolder folder) =>
        Assert.Throws<CheckpointException>(() => DiffusionGemmaModel.Load(folder.Path));
}
