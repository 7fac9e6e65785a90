using System.Text.Json.Nodes;
using static TorchSharp.torch;

namespace DiffusionGemma;

/// <summary>
/// Settings and files that are broken, or are no quantised checkpoint at all: typed errors with the option's or tensor's name.
/// </summary>
public class DamagedQuantizationTests : TorchTest
{
    private const string Config = "quantization_config", Query = "model.decoder.layers.1.self_attn.q_proj";

    /// <summary>Settings that are no settings: typed, and by the option's name.</summary>
    [Theory]
    [InlineData("quant_method", "4")]
    [InlineData("quant_method", "null")]
    [InlineData("config_groups", "[]")]
    [InlineData("config_groups.group_0", "null")]
    [InlineData("config_groups.group_0.weights", "null")]
    [InlineData("config_groups.group_0.weights.num_bits", "\"4\"")]
    [InlineData("config_groups.group_0.weights.group_size", "32.5")]
    [InlineData("config_groups.group_0.weights.symmetric", "1")]
    [InlineData("config_groups.group_0.targets", "\"Linear\"")]
    [InlineData("ignore", "[4]")]
    public void Settings_of_another_kind_are_named(string option, string value)
    {
        using TemporaryFolder folder = QuantizedCopies.With("int4", config => QuantizedCopies.Set(config, option, value));
        InvalidConfigurationException error = Assert.Throws<InvalidConfigurationException>(() => DiffusionGemmaModel.Load(folder.Path));
        Assert.StartsWith($"{Config}.{option}", error.Option, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("\"int4\"")]
    [InlineData("[]")]
    [InlineData("4")]
    public void Settings_that_are_no_object_are_named(string value)
    {
        using TemporaryFolder folder = QuantizedCopies.With("int4", config => config[Config] = JsonNode.Parse(value));
        Assert.Equal(
            Config, Assert.Throws<InvalidConfigurationException>(() => DiffusionGemmaModel.Load(folder.Path)).Option);
    }

    /// <summary>The tensors decide which weights are quantised; where config.json names a form that none has, a notice says so.</summary>
    [Fact]
    public void Settings_without_a_quantised_weight_are_a_notice()
    {
        using TemporaryFolder folder = Fixtures.Temporary();
        string original = Fixtures.Checkpoint("tiny-2layer");
        File.Copy(Fixtures.Path("quantized", "int4", "config.json"), folder.File("config.json"));
        File.Copy(Path.Combine(original, "model.safetensors"), folder.File("model.safetensors"));
        using var model = DiffusionGemmaModel.Load(folder.Path);
        string notice = Assert.Single(model.Notices);
        Assert.Contains(folder.File("config.json"), notice);
        Assert.Contains("no weight", notice);
        Assert.Empty(model.Stack.Quantized);
    }

    [Fact]
    public void GGUF_is_named()
    {
        using TemporaryFolder folder = Fixtures.Temporary();
        string file = folder.File("model-Q4_K_M.gguf");
        File.WriteAllText(file, "GGUF");
        void Named(Exception error)
        {
            Assert.Contains("model-Q4_K_M.gguf is GGUF", error.Message);
            Assert.Contains("nvfp4-pack-quantized", error.Message);
        }
        Named(Assert.Throws<InvalidConfigurationException>(() => DiffusionGemmaModel.Load(file)));
        Named(Assert.Throws<InvalidConfigurationException>(() => DiffusionGemmaModel.Load(folder.Path)));
        File.Copy(Path.Combine(Fixtures.Checkpoint("tiny-2layer"), "config.json"), folder.File("config.json"));
        Named(Assert.Throws<CheckpointException>(() => DiffusionGemmaModel.Load(folder.Path)));
    }

    [Fact]
    public void A_weight_that_is_there_twice_is_named()
    {
        using TemporaryFolder folder = QuantizedCopies.With(
            "int4", tensors: all => all[$"{Query}.weight"] = ones(128, 64, ScalarType.BFloat16));
        CheckpointException error = Refused(folder);
        Assert.Contains($"{Query}.weight ", error.Message);
        Assert.Contains("stands beside", error.Message);
    }

    /// <summary>FP8 of the other kind, and scales of a matrix, which have no rows.</summary>
    [Fact]
    public void Numbers_and_scales_of_other_forms_are_named()
    {
        using TemporaryFolder other = QuantizedCopies.With("fp8");
        QuantizedCopies.Rename(other, "F8_E4M3", "F8_E5M2");
        Assert.Contains("F8_E5M2", Refused(other).Message);
        foreach (Func<Tensor> scale in new Func<Tensor>[]
        {
            () => tensor(1f).to(ScalarType.BFloat16), () => ones(1, ScalarType.BFloat16), () => ones(0, ScalarType.BFloat16),
            () => ones([128, 1], ScalarType.Int32),
        })
        {
            using TemporaryFolder folder = QuantizedCopies.With("int8", tensors: all => all[$"{Query}.weight_scale"] = scale());
            Assert.Contains($"{Query}.weight_scale", Refused(folder).Message);
        }
    }

    [Theory]
    [InlineData(float.NaN)]
    [InlineData(float.PositiveInfinity)]
    [InlineData(0f)]
    public void A_second_scale_that_is_no_divisor_is_named(float value)
    {
        using TemporaryFolder folder = QuantizedCopies.With("nvfp4");
        string name = $"{Query}.weight_global_scale", path = folder.File("model.safetensors");
        long at;
        using (SafetensorsFile file = SafetensorsFile.Open(path)) at = file.Tensors[name].Offset;
        using (FileStream stream = File.OpenWrite(path))
        {
            stream.Position = at;
            stream.Write(BitConverter.GetBytes(value));
        }
        Assert.Equal(name, Refused(folder).Tensor);
    }

    /// <summary>Rounding finds what a plain load need not look at, and leaves no half-written folder.</summary>
    [Theory]
    [InlineData("model.decoder.embed_tokens.weight", double.NaN)]
    [InlineData("model.decoder.layers.1.self_attn.q_proj.weight", double.NegativeInfinity)]
    [InlineData("model.decoder.layers.1.experts.gate_up_proj", double.NaN)]
    public void Weights_that_are_not_finite_are_not_rounded(string name, double value)
    {
        using TemporaryFolder source = Fixtures.Temporary("source"), target = Fixtures.Temporary("target");
        File.Copy(Path.Combine(Fixtures.Checkpoint("tiny-2layer"), "config.json"), source.File("config.json"));
        using (var scope = NewDisposeScope())
        {
            Dictionary<string, Tensor> all;
            using (SafetensorsFile file = SafetensorsFile.Open(Fixtures.Checkpoint("tiny-2layer")))
                all = file.Tensors.Keys.ToDictionary(key => key, key => file.Read(key));
            all[name].flatten()[-3] = value;
            SafetensorsFile.Write(source.File("model.safetensors"), all, new Dictionary<string, string> { ["format"] = "pt" });
        }
        foreach (Quantization quantization in new[] { Quantization.Int8, Quantization.Int4 })
        {
            CheckpointException error = Assert.Throws<CheckpointException>(
                () => DiffusionGemmaModel.Load(source.Path, quantization: quantization));
            Assert.Equal(name, error.Tensor);
            Assert.Contains("not finite", error.Message);
            if (name.Contains("embed", StringComparison.Ordinal)) continue;                    // a folder keeps the table as it is
            error = Assert.Throws<CheckpointException>(() => QuantizedCheckpoint.Create(source.Path, target.Path, quantization));
            Assert.Equal(name, error.Tensor);
            Assert.Empty(Directory.GetFileSystemEntries(target.Path));
        }
    }

    /// <summary>A scale that is not finite is the source's fault, and not the target's.</summary>
    [Fact]
    public void A_source_that_is_damaged_is_named_where_it_is_rounded_again()
    {
        string name = $"{Query}.weight_scale";
        using TemporaryFolder folder = QuantizedCopies.With("int8", tensors: all => all[name].flatten()[-1] = double.NaN);
        using TemporaryFolder target = Fixtures.Temporary();
        CheckpointException error = Assert.Throws<CheckpointException>(
            () => QuantizedCheckpoint.Create(folder.Path, target.Path, Quantization.Int4));
        Assert.Equal(name, error.Tensor);
        Assert.DoesNotContain("cannot be written", error.Message);
        Assert.Empty(Directory.GetFileSystemEntries(target.Path));
    }

    /// <summary>Entries of config.json that nothing reads are copied: of equal names the last, as Python reads them.</summary>
    [Fact]
    public void Entries_that_are_only_copied_are_Pythons_JSON()
    {
        using TemporaryFolder source = Copied("""{"note":{"a":1,"a":2},"note":{"b":[1.50,1,"é"],"b":3},""");
        using TemporaryFolder target = Fixtures.Temporary();
        QuantizedCheckpoint.Create(source.Path, target.Path, Quantization.Int8);
        JsonNode written = JsonNode.Parse(File.ReadAllText(target.File("config.json")))!;
        Assert.Equal("{\"b\":3}", written["note"]!.ToJsonString());
    }

    /// <summary>It was a raw exception, after all weights had been written.</summary>
    [Theory]
    [InlineData("""{"note":"\ud800",""")]
    [InlineData("""{"\udc00":1,""")]
    [InlineData("""{"note":[{"a":"\ud83d "}],""")]
    public void Half_a_surrogate_pair_in_an_entry_that_is_only_copied_is_named(string beginning)
    {
        using TemporaryFolder source = Copied(beginning), target = Fixtures.Temporary();
        InvalidConfigurationException error = Assert.Throws<InvalidConfigurationException>(
            () => QuantizedCheckpoint.Create(source.Path, target.Path, Quantization.Int8));
        Assert.Contains("config.json", error.Message, StringComparison.Ordinal);
        Assert.Empty(Directory.GetFileSystemEntries(target.Path));
    }

    /// <summary>A checkpoint whose config.json begins with other entries.</summary>
    private static TemporaryFolder Copied(string beginning)
    {
        TemporaryFolder folder = Fixtures.Temporary();
        foreach (string path in Directory.GetFiles(Fixtures.Checkpoint("tiny-2layer")))
            File.Copy(path, folder.File(Path.GetFileName(path)));
        string config = File.ReadAllText(folder.File("config.json"));
        File.WriteAllText(folder.File("config.json"), beginning + config[(config.IndexOf('{', StringComparison.Ordinal) + 1)..]);
        return folder;
    }

    private static CheckpointException Refused(TemporaryFolder folder) =>
        Assert.Throws<CheckpointException>(() => DiffusionGemmaModel.Load(folder.Path));
}
