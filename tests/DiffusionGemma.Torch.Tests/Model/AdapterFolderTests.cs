using System.Text.Json.Nodes;
using TorchSharp;
using static TorchSharp.torch;

namespace DiffusionGemma;

/// <summary>Folders that differ in one thing from one that PEFT wrote: taken as PEFT would, or refused by name.</summary>
public class AdapterFolderTests : TorchTest
{
    private const string First = "base_model.model.model.decoder.layers.0.mlp.down_proj.lora_A.weight";
    private readonly DiffusionGemmaModel _model =
        DiffusionGemmaModel.Load(Fixtures.Checkpoint("tiny-6layer"), TestDevice.Current, ScalarType.Float32);

    public static TheoryData<string, string, string> RefusedSettings() => new()
    {
        { "use_dora", "true", "'use_dora' is true" },
        { "bias", "\"all\"", "bias is 'all'" },
        { "lora_bias", "true", "'lora_bias' is true" },
        { "rank_pattern", "{\"q_proj\":0}", "'rank_pattern' is {\"q_proj\":0}: expected a positive whole number for 'q_proj'" },
        { "rank_pattern", "{\"q_proj\":2.5}", "expected a positive whole number" },
        { "alpha_pattern", "{\"(q_proj\":8}", "expected regular expressions" },
        { "alpha_pattern", "[8]", "expected numbers by module names" },
        { "alpha_pattern", "{\"(([a-z0-9_.]+)+)+X\":8}", "takes longer than" },
        { "lora_alpha", "1e999", "'lora_alpha' is" },
        { "rank_pattern", "{\"q_proj\":8}", "for this model and r = 8" },
        { "modules_to_save", "[\"lm_head\"]", "'modules_to_save' names 'lm_head', but the file holds no such tensor" },
        { "modules_to_save", "[\"layers.0.mlp\"]", "'modules_to_save' names 'layers.0.mlp', a module that was trained whole" },
        { "modules_to_save", "\"lm_head\"", "'modules_to_save' is \"lm_head\", expected a list of names" },
        { "use_qalora", "true", "'use_qalora'" },
        { "peft_type", "\"IA3\"", "peft_type is 'IA3'" },
        { "init_lora_weights", "\"pissa\"", "init_lora_weights is 'pissa'" },
        { "r", "0", "'r' is 0" },
        { "r", "\"four\"", "'r' is \"four\"" },
        { "r", "8", "expected [8,48] for this model and r = 8" },
        { "target_parameters", "\"experts.down_proj\"", "'target_parameters'" },
    };

    [Theory]
    [MemberData(nameof(RefusedSettings))]
    public void A_setting_that_cannot_be_honoured_is_refused_by_name(string key, string json, string message)
    {
        using TemporaryFolder folder = ChangedAdapter.Of("shared", config => config[key] = JsonNode.Parse(json));
        Refused(folder.Path, message);
    }

    [Fact]
    public void Missing_and_unreadable_files_are_named()
    {
        using TemporaryFolder folder = Fixtures.Temporary();
        Refused(folder.Path, "adapter_config.json");
        File.WriteAllText(folder.File("adapter_config.json"), "r = 4");
        Refused(folder.Path, "no readable adapter configuration");
        File.Copy(
            Path.Combine(Fixtures.Path("adapters", "shared"), "adapter_config.json"), folder.File("adapter_config.json"), overwrite: true);
        Refused(folder.Path, "adapter_model.safetensors does not exist");
        File.WriteAllText(folder.File("adapter_model.safetensors"), "not safetensors at all");
        Refused(folder.Path, "adapter_model.safetensors");
        SafetensorsFile.Write(folder.File("adapter_model.safetensors"), new Dictionary<string, Tensor>());
        Refused(folder.Path, "holds no tensors");
    }

    [Fact]
    public void Half_a_pair_a_wrong_shape_and_a_stranger_are_named()
    {
        using TemporaryFolder half = ChangedAdapter.Of("shared", tensors: t => t.Remove(First));
        Refused(half.Path, $"'{First}' is missing");
        using TemporaryFolder shape = ChangedAdapter.Of("shared", tensors: t => t[First] = zeros(4, 71));
        Refused(shape.Path, $"'{First}' is [4,71], expected [4,72]");
        using TemporaryFolder integers = ChangedAdapter.Of("shared", tensors: t => t[First] = zeros(4, 72, dtype: ScalarType.Int32));
        Refused(integers.Path, $"'{First}' is Int32");
        string stranger = First.Replace("layers.0", "layers.6", StringComparison.Ordinal);
        using TemporaryFolder extra = ChangedAdapter.Of("shared", tensors: t => t[stranger] = zeros(4, 72));
        Refused(extra.Path, $"the first is '{stranger}'");
    }

    [Fact]
    public void A_refused_folder_leaves_no_tensor_behind()
    {
        string last = First.Replace("layers.0", "layers.5", StringComparison.Ordinal);
        using TemporaryFolder folder = ChangedAdapter.Of("experts", tensors: t => t[last] = zeros(4, 71));
        Refused(folder.Path, last);
        long before = DisposeScopeManager.Statistics.TensorStatistics.ThreadTotalLiveCount;
        for (int n = 0; n < 3; n++) Refused(folder.Path, last);
        Assert.Equal(before, DisposeScopeManager.Statistics.TensorStatistics.ThreadTotalLiveCount);
    }

    /// <summary>PEFT wraps the experts' module once a targeted stack; a single one stands at experts.lora_*, whichever it is.</summary>
    [Theory]
    [InlineData("experts.gate_up_proj", true)]
    [InlineData("experts.down_proj", false)]
    public void One_expert_stack_alone_is_told_from_the_configuration(string target, bool gateUp)
    {
        static string Outer(string name) => name.Replace(".experts.base_layer.", ".experts.", StringComparison.Ordinal);
        using TemporaryFolder folder = ChangedAdapter.Of("experts", NamesOnly(target), tensors =>
        {
            foreach (string name in tensors.Keys.Where(k => k.Contains(".experts.", StringComparison.Ordinal)).ToList())
                if (name.Contains(".base_layer.", StringComparison.Ordinal) != gateUp) tensors.Remove(name);
            foreach (string name in tensors.Keys.Where(k => k.Contains(".base_layer.", StringComparison.Ordinal)).ToList())
                if (tensors.Remove(name, out Tensor? tensor)) tensors[Outer(name)] = tensor;
        });
        using var both = LoraAdapter.Load(Fixtures.Path("adapters", "experts"), _model);
        using var one = LoraAdapter.Load(folder.Path, _model);
        foreach ((string module, (_, ExpertsLora? stacks)) in one.ExpertStacks)
        {
            ExpertsLora reference = both.ExpertStacks[module].Decoder!;
            Assert.Equal((gateUp, !gateUp), (stacks!.GateUp is not null, stacks.Down is not null));
            Assert.Equal(0, Largest((stacks.GateUp ?? stacks.Down)!.A, (gateUp ? reference.GateUp : reference.Down)!.A));
        }

        using TemporaryFolder again = Fixtures.Temporary();
        one.Save(again.Path, "tiny-6layer");
        Assert.Equal(
            File.ReadAllBytes(folder.File("adapter_model.safetensors")), File.ReadAllBytes(again.File("adapter_model.safetensors")));
        Assert.Equal([target], PeftConfig.Load(again.Path).TargetParameters);

        using TemporaryFolder unnamed = ChangedAdapter.Of("experts", config => config["target_parameters"] = null);
        Refused(unnamed.Path, "must be named in target_parameters");
    }

    [Fact]
    public void Stacks_of_some_layers_are_targeted_by_their_whole_names()
    {
        const string Target = "decoder.layers.3.experts.down_proj", Whole = "model.decoder.layers.3.experts.down_proj";
        using TemporaryFolder folder = ChangedAdapter.Of("experts", NamesOnly(Target), tensors =>
        {
            string kept = Whole[..^".down_proj".Length] + ".lora";
            foreach (string name in tensors.Keys.Where(k => k.Contains(".experts.", StringComparison.Ordinal)).ToList())
                if (!name.Contains(kept, StringComparison.Ordinal)) tensors.Remove(name);
        });
        using LoraAdapter adapter = LoraAdapter.Load(folder.Path, _model);
        (ExpertsLora? encoder, ExpertsLora? decoder) = Assert.Single(adapter.ExpertStacks).Value;
        Assert.Null(encoder);
        Assert.True(decoder is { GateUp: null, Down: not null });
        using TemporaryFolder again = Fixtures.Temporary();
        adapter.Save(again.Path, "tiny-6layer");
        Assert.Equal([Whole], PeftConfig.Load(again.Path).TargetParameters);
    }

    [Fact]
    public void A_folder_that_cannot_be_written_is_named_and_an_older_adapter_stays()
    {
        using LoraAdapter adapter = LoraAdapter.Load(Fixtures.Path("adapters", "shared"), _model);
        using TemporaryFolder folder = Fixtures.Temporary();
        File.WriteAllText(folder.File("taken"), "a file");
        string below = Path.Combine(folder.File("taken"), "adapter");
        Assert.Contains(below, Assert.Throws<AdapterException>(() => adapter.Save(below, "base")).Message, StringComparison.Ordinal);

        // A folder stands where the configuration would go: the tensors are put back too.
        string old = folder.File("old");
        Directory.CreateDirectory(Path.Combine(old, "adapter_config.json"));
        File.WriteAllText(Path.Combine(old, "adapter_model.safetensors"), "older");
        Assert.Throws<AdapterException>(() => adapter.Save(old, "base"));
        Assert.Equal("older", File.ReadAllText(Path.Combine(old, "adapter_model.safetensors")));
        Assert.Equal(2, Directory.EnumerateFileSystemEntries(old).Count());
    }

    [Fact]
    public void An_adapter_of_another_model_is_refused_by_the_model()
    {
        using LoraAdapter adapter = LoraAdapter.Load(Fixtures.Path("adapters", "shared"), _model);
        using var other = DiffusionGemmaModel.Load(Fixtures.Checkpoint("tiny-2layer"), TestDevice.Current, ScalarType.Float32);
        Assert.Contains(
            "model.decoder.layers.0.", Assert.Throws<ArgumentException>(() => other.Adapter = adapter).Message, StringComparison.Ordinal);
        Assert.Null(other.Adapter);
    }

    /// <summary>The names are the same: it is the shapes that tell.</summary>
    [Fact]
    public void An_adapter_of_a_wider_model_is_refused_by_the_model()
    {
        using var tiny = DiffusionGemmaModel.Load(Fixtures.Checkpoint("tiny-2layer"), TestDevice.Current, ScalarType.Float32);
        using var nemo = DiffusionGemmaModel.Load(Fixtures.Checkpoint("tiny-nemo"), TestDevice.Current, ScalarType.Float32);
        LoraOptions[] kinds = [new() { Targets = ["mlp.up_proj"] }, new() { Targets = [], Experts = true }];
        foreach (LoraOptions options in kinds)
        {
            using LoraAdapter adapter = LoraAdapter.Create(tiny, options, seed: 1);
            Assert.Contains(
                "another model", Assert.Throws<ArgumentException>(() => nemo.Adapter = adapter).Message, StringComparison.Ordinal);
            Assert.Null(nemo.Adapter);
        }
    }

    public override void Dispose()
    {
        _model.Dispose();
        base.Dispose();
    }

    private static Action<JsonObject> NamesOnly(string target) => config => config["target_parameters"] = new JsonArray(target);

    private void Refused(string folder, string message) =>
        Assert.Contains(message, Assert.Throws<AdapterException>(() => LoraAdapter.Load(folder, _model)).Message, StringComparison.Ordinal);
}
