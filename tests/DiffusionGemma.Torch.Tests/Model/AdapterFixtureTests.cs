using System.Text.Json.Nodes;
using static TorchSharp.torch;

namespace DiffusionGemma;

/// <summary>Adapters that PEFT wrote on transformers' model, and its results with them (float32).</summary>
public class AdapterFixtureTests : TorchTest
{
    private const string Checkpoint = "tiny-6layer";
    private static readonly string[] Kinds = ["shared", "separate", "decoder-only", "experts"];

    public static TheoryData<string, ScalarType, double> Passes()
    {
        var data = new TheoryData<string, ScalarType, double>();
        foreach (string kind in Kinds)
        {
            data.Add(kind, ScalarType.Float64, 1e-4);                                           // the reference's own float32 rounding
            data.Add(kind, ScalarType.Float32, 2e-4);                                           // both round
        }
        return data;
    }

    [Theory]
    [MemberData(nameof(Passes))]
    public void Passes_with_an_adapter_equal_the_reference(string kind, ScalarType dtype, double tolerance)
    {
        using var model = Load(dtype);
        using LoraAdapter adapter = LoraAdapter.Load(Fixtures.Path("adapters", kind), model);
        using SafetensorsFile expected = SafetensorsFile.Open(Fixtures.Path("adapters", "logits.safetensors"));
        (Tensor baseHidden, _) = new PlainCase(Checkpoint).Run(model);

        model.Adapter = adapter;
        (Tensor hidden, Tensor logits) = new PlainCase(Checkpoint).Run(model);
        Assert.True(Largest(hidden, expected.Read($"{kind}.encoder_hidden")) <= tolerance);
        Assert.True(Largest(logits, expected.Read($"{kind}.logits_sc")) <= tolerance);
        Assert.Equal(kind == "decoder-only" ? 0 : 1, Largest(hidden, baseHidden) > 0.01 ? 1 : 0);

        model.Adapter = null;
        (Tensor without, _) = new PlainCase(Checkpoint).Run(model);
        Assert.Equal(0, Largest(without, baseHidden));
    }

    /// <summary>
    /// Up to 0.19.0 PEFT stored low-rank pairs of expert stacks the other way round: read by the version, or by the only shape that fits.
    /// </summary>
    [Theory]
    [InlineData("0.18.1")]
    [InlineData("0.19.0")]
    [InlineData("0.19.0.dev0")]
    [InlineData("v0.18.1")]
    [InlineData(null)]
    public void Expert_stacks_of_an_older_PEFT_equal_the_reference(string? version)
    {
        using TemporaryFolder folder = CopyWithVersion("experts-peft-0.18", version);
        using var model = Load(ScalarType.Float32);
        using LoraAdapter adapter = LoraAdapter.Load(folder.Path, model);
        using SafetensorsFile expected = SafetensorsFile.Open(Fixtures.Path("adapters", "experts-peft-0.18", "logits.safetensors"));
        model.Adapter = adapter;
        (Tensor hidden, Tensor logits) = new PlainCase(Checkpoint).Run(model);
        Assert.True(Largest(hidden, expected.Read("experts-peft-0.18.encoder_hidden")) <= 2e-4);
        Assert.True(Largest(logits, expected.Read("experts-peft-0.18.logits_sc")) <= 2e-4);

        // Saved, it is in the newer layout, and the same adapter.
        adapter.Save(folder.File("saved"), "base");
        using LoraAdapter again = LoraAdapter.Load(folder.File("saved"), model);
        model.Adapter = again;
        Assert.Equal(0, Largest(new PlainCase(Checkpoint).Run(model).Logits, logits));
    }

    [Fact]
    public void A_version_that_its_shapes_belie_is_refused()
    {
        using TemporaryFolder folder = CopyWithVersion("experts", "0.19.0");
        using var model = Load(ScalarType.Float32);
        Assert.Contains("lora_A", Assert.Throws<AdapterException>(() => LoraAdapter.Load(folder.Path, model)).Message,
            StringComparison.Ordinal);
    }

    [Fact]
    public void Merged_weights_equal_the_reference()
    {
        using var model = Load(ScalarType.Float32);
        using LoraAdapter adapter = LoraAdapter.Load(Fixtures.Path("adapters", "shared"), model);
        using SafetensorsFile expected = SafetensorsFile.Open(Fixtures.Path("adapters", "logits.safetensors"));
        adapter.MergeInto(model);
        string[] merged = [.. expected.Tensors.Keys.Where(k => k.StartsWith("merged.", StringComparison.Ordinal))];
        Assert.Equal(adapter.Modules.Count, merged.Length);
        // one product of rank 4, one sum: a few units in the last place
        foreach (string key in merged)
            Assert.True(Largest(model.Stack.Parameters[key["merged.".Length..]], expected.Read(key)) <= 1e-6, key);
    }

    [Theory]
    [InlineData("shared")]
    [InlineData("experts")]
    public void Merging_changes_the_place_of_the_delta_and_nothing_else(string kind)
    {
        using var model = Load(ScalarType.Float64);
        using LoraAdapter adapter = LoraAdapter.Load(Fixtures.Path("adapters", kind), model);
        model.Adapter = adapter;
        (Tensor hidden, Tensor logits) = new PlainCase(Checkpoint).Run(model);
        adapter.MergeInto(model);
        Assert.Null(model.Adapter);
        (Tensor mergedHidden, Tensor mergedLogits) = new PlainCase(Checkpoint).Run(model);
        Assert.True(Largest(mergedHidden, hidden) <= 1e-10);                                    // float64 through six layers
        Assert.True(Largest(mergedLogits, logits) <= 1e-10);
        Assert.All(adapter.Modules, module => Assert.Contains(model.Changed, name => name.StartsWith(module, StringComparison.Ordinal)));
    }

    [Theory]
    [InlineData("separate")]
    [InlineData("decoder-only")]
    public void Two_sets_of_values_are_not_merged(string kind)
    {
        using var model = Load(ScalarType.Float32);
        using LoraAdapter adapter = LoraAdapter.Load(Fixtures.Path("adapters", kind), model);
        model.Adapter = adapter;
        var error = Assert.Throws<InvalidOperationException>(() => adapter.MergeInto(model));
        Assert.Contains("model.decoder.layers.0.mlp.down_proj", error.Message, StringComparison.Ordinal);
        Assert.Same(adapter, model.Adapter);
        Assert.Empty(model.Changed);
    }

    /// <summary>The tensor file byte for byte (name order, header, padding); of adapter_config.json every key that we write.</summary>
    [Theory]
    [InlineData("shared", ScalarType.Float32)]
    [InlineData("separate", ScalarType.Float32)]
    [InlineData("decoder-only", ScalarType.Float32)]
    [InlineData("experts", ScalarType.Float32)]
    // deltas stay in float32 beside a bfloat16 model
    [InlineData("experts", ScalarType.BFloat16)]
    public void What_is_saved_is_what_PEFT_wrote(string kind, ScalarType dtype)
    {
        string source = Fixtures.Path("adapters", kind);
        using var model = Load(dtype);
        using LoraAdapter adapter = LoraAdapter.Load(source, model);
        using TemporaryFolder folder = Fixtures.Temporary();
        adapter.Save(folder.Path, Checkpoint);

        Assert.Equal(
            ["adapter_config.json", "adapter_model.safetensors"],
            Directory.EnumerateFileSystemEntries(folder.Path).Select(p => Path.GetFileName(p)).Order());
        Assert.Equal(
            File.ReadAllBytes(Path.Combine(source, "adapter_model.safetensors")),
            File.ReadAllBytes(folder.File("adapter_model.safetensors")));
        JsonObject expected = Config(source), written = Config(folder.Path);
        // The version tells the layout of expert stacks, which is this one's whatever newer PEFT wrote the source.
        Assert.Equal("0.19.1", (string?)written["peft_version"]);
        expected["peft_version"] = "0.19.1";
        foreach ((string key, JsonNode? value) in written)
        {
            Assert.True(expected.ContainsKey(key), key);
            Assert.True(JsonNode.DeepEquals(expected[key], value), $"{key}: {value} in place of {expected[key]}");
        }
        string[] keys =
            ["r", "lora_alpha", "target_modules", "target_parameters", "bias", "peft_type", "use_rslora", "base_model_name_or_path"];
        Assert.All(keys, key => Assert.True(written.ContainsKey(key), key));
    }

    [Fact]
    public void Counts_and_names_say_what_is_adapted()
    {
        using var model = Load(ScalarType.Float32);
        using LoraAdapter shared = LoraAdapter.Load(Fixtures.Path("adapters", "shared"), model);
        using LoraAdapter separate = LoraAdapter.Load(Fixtures.Path("adapters", "separate"), model);
        // six layers of seven projections, but for one v_proj
        Assert.Equal(41, shared.Modules.Count);
        Assert.Equal((4, 8.0), (shared.Rank, shared.Alpha));
        Assert.Equal(2 * shared.ParameterCount, separate.ParameterCount);
        using LoraAdapter experts = LoraAdapter.Load(Fixtures.Path("adapters", "experts"), model);
        Assert.Equal(shared.Modules.Count + 6, experts.Modules.Count);
    }

    private static DiffusionGemmaModel Load(ScalarType dtype) =>
        DiffusionGemmaModel.Load(Fixtures.Checkpoint(Checkpoint), TestDevice.Current, dtype);

    private static JsonObject Config(string folder) =>
        (JsonObject)JsonNode.Parse(File.ReadAllText(Path.Combine(folder, "adapter_config.json")))!;

    private static TemporaryFolder CopyWithVersion(string adapter, string? version)
    {
        TemporaryFolder folder = Fixtures.Temporary();
        File.Copy(Fixtures.Path("adapters", adapter, "adapter_model.safetensors"), folder.File("adapter_model.safetensors"));
        var config = (JsonObject)JsonNode.Parse(File.ReadAllText(Fixtures.Path("adapters", adapter, "adapter_config.json")))!;
        if (version is null) config.Remove("peft_version");
        else config["peft_version"] = version;
        File.WriteAllText(folder.File("adapter_config.json"), config.ToJsonString());
        return folder;
    }
}
