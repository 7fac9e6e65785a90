using System.Text.Json.Nodes;
using TorchSharp;

namespace DiffusionGemma;

/// <summary>Folders that were made to do harm: each is refused by name, in bounded time, and nothing outside is touched.</summary>
public sealed class HostileFolderTests : TorchTest
{
    private const string EndlessExpression = @"(\w+\.?)+!";

    private static readonly string Deep = new string('[', 200_000) + new string(']', 200_000);

    [Fact]
    public void An_expression_of_quantization_config_that_never_ends_is_refused()
    {
        using TemporaryFolder folder = QuantizedCopies.With("int4", root =>
            root["quantization_config"]!["ignore"] = new JsonArray($"re:{EndlessExpression}"));
        var error = Assert.Throws<InvalidConfigurationException>(() => Checkpoint.Open(folder.Path));
        Assert.Contains(EndlessExpression, error.Message, StringComparison.Ordinal);
        Assert.Contains("takes more than 1 s", error.Message, StringComparison.Ordinal);
        Assert.Equal(folder.File("config.json"), error.ConfigurationFile);
    }

    [Fact]
    public void An_expression_of_rank_pattern_that_never_ends_is_refused()
    {
        using DiffusionGemmaModel model = DiffusionGemmaModel.Load(Fixtures.Checkpoint("tiny-2layer"));
        using TemporaryFolder folder = Adapter();
        JsonObject config = JsonNode.Parse(File.ReadAllText(folder.File("adapter_config.json")))!.AsObject();
        config["rank_pattern"] = new JsonObject { [EndlessExpression] = 4 };
        File.WriteAllText(folder.File("adapter_config.json"), config.ToJsonString());
        var error = Assert.Throws<AdapterException>(() => LoraAdapter.Load(folder.Path, model));
        Assert.Contains("takes longer than 1 s", error.Message, StringComparison.Ordinal);
    }

    /// <summary>Many asterisks in a target are matched in time that grows with its length alone.</summary>
    [Fact]
    public void A_target_of_asterisks_costs_nothing()
    {
        string target = string.Concat(Enumerable.Repeat("*a", 500)) + "b";
        Assert.Throws<ArgumentException>(() => LoraTargets.Match([target], [new string('a', 2_000)]));
    }

    [Theory]
    [InlineData("config.json")]
    [InlineData("model.safetensors.index.json")]
    [InlineData("adapter_config.json")]
    [InlineData("generation_config.json")]
    public void Deep_JSON_is_refused(string file)
    {
        using DiffusionGemmaModel model = DiffusionGemmaModel.Load(Fixtures.Checkpoint("tiny-2layer"));
        using TemporaryFolder folder = file == "adapter_config.json" ? Adapter() : Sharded();
        File.WriteAllText(folder.File(file), Deep);
        Exception error = Assert.ThrowsAny<Exception>(() => Open(folder.Path, file, model));
        Assert.True(error is InvalidConfigurationException or CheckpointException or AdapterException or InvalidDataException, $"{error}");
        Assert.Contains(file, error.Message, StringComparison.Ordinal);
    }

    /// <summary>A device without an end, reached by a link in the folder, is an empty file.</summary>
    [Theory]
    [InlineData("config.json")]
    [InlineData("model.safetensors.index.json")]
    [InlineData("model-00003-of-00008.safetensors")]
    [InlineData("adapter_config.json")]
    [InlineData("adapter_model.safetensors")]
    [InlineData("generation_config.json")]
    public void A_link_to_a_device_without_an_end_is_refused(string file)
    {
        Assert.SkipUnless(File.Exists("/dev/zero"), "There is no /dev/zero.");
        RefusedAsLink(file, "/dev/zero");
    }

    [Theory]
    [InlineData("config.json")]
    [InlineData("model.safetensors.index.json")]
    [InlineData("model-00003-of-00008.safetensors")]
    [InlineData("adapter_config.json")]
    [InlineData("adapter_model.safetensors")]
    public void A_link_to_itself_is_refused(string file) => RefusedAsLink(file, file);

    /// <summary>Links are followed when they are read, as the Hub's cache is made of them; writing replaces the link itself.</summary>
    [Fact]
    public void Writing_replaces_a_link_and_leaves_what_it_points_to()
    {
        using DiffusionGemmaModel model = DiffusionGemmaModel.Load(Fixtures.Checkpoint("tiny-2layer"));
        using LoraAdapter adapter = LoraAdapter.Create(model, new LoraOptions { Rank = 2 }, seed: 1);
        using TemporaryFolder outside = Fixtures.Temporary(), folder = Fixtures.Temporary();
        string[] names = ["adapter_config.json", "adapter_model.safetensors", Checksums.FileName, "config.json", "model.safetensors"];
        foreach (string name in names)
        {
            File.WriteAllText(outside.File(name), "outside");
            File.CreateSymbolicLink(folder.File(name), outside.File(name));
        }
        adapter.Save(folder.Path, "base");
        model.Save(folder.Path);
        Assert.All(Directory.GetFiles(outside.Path), path => Assert.Equal("outside", File.ReadAllText(path)));
        Assert.All(Directory.GetFiles(folder.Path), path => Assert.Null(new FileInfo(path).LinkTarget));
    }

    /// <summary>Leftovers of an interrupted run are removed; a link under such a name is removed itself, and its target stays.</summary>
    [Fact]
    public void Removing_what_a_run_left_does_not_follow_links()
    {
        using TemporaryFolder outside = Fixtures.Temporary(), folder = Fixtures.Temporary();
        File.WriteAllText(outside.File("kept.txt"), "kept");
        Directory.CreateSymbolicLink(folder.File(".run-left"), outside.Path);
        using DiffusionGemmaModel model = DiffusionGemmaModel.Load(Fixtures.Checkpoint("tiny-2layer"));
        FineTuneOptions options = TinyRows.Options with
        {
            Lora = new LoraOptions { Rank = 2 },
            MaxSteps = 1,
            Checkpoints = new RunCheckpointOptions { Folder = folder.Path },
        };
        FineTuner.Fit(model, TinyRows.Make(24, 1), options);
        model.Adapter?.Dispose();
        Assert.Equal("kept", File.ReadAllText(outside.File("kept.txt")));
        Assert.DoesNotContain(".run-left", Directory.EnumerateFileSystemEntries(folder.Path).Select(Path.GetFileName));
    }

    [Fact]
    public void A_scalar_that_claims_to_be_packed_is_refused()
    {
        using TemporaryFolder folder = QuantizedCopies.With("int4", tensors: all =>
        {
            string packed = all.Keys.First(key => key.EndsWith("_packed", StringComparison.Ordinal));
            all[packed] = torch.tensor(1);
        });
        Assert.Throws<CheckpointException>(() => Checkpoint.Open(folder.Path).Dispose());
    }

    /// <summary>Sizes whose products leave 63 bits are compared as they are, and never allocated.</summary>
    [Fact]
    public void Sizes_of_two_to_the_31st_are_refused()
    {
        using TemporaryFolder folder = QuantizedCopies.With("int4", root =>
        {
            foreach (string option in new[] { "hidden_size", "intermediate_size", "moe_intermediate_size", "num_experts", "vocab_size" })
                root["text_config"]![option] = int.MaxValue;
        });
        var error = Assert.Throws<InvalidConfigurationException>(() => Checkpoint.Open(folder.Path).Dispose());
        Assert.Contains("more than any has", error.Message, StringComparison.Ordinal);
    }

    /// <summary>Sizes that no weight depends on are bounded too: they are allocated before any weight is read.</summary>
    [Theory]
    [InlineData("canvas_length")]
    [InlineData("text_config.num_hidden_layers")]
    public void Counts_that_ask_for_all_memory_are_refused(string option)
    {
        using TemporaryFolder folder = QuantizedCopies.With("int4", root =>
        {
            root["text_config"]!.AsObject().Remove("layer_types");
            JsonNode owner = option.StartsWith("text_config", StringComparison.Ordinal) ? root["text_config"]! : root;
            owner[option.Split('.')[^1]] = int.MaxValue;
        });
        var error = Assert.Throws<InvalidConfigurationException>(() => Checkpoint.Open(folder.Path).Dispose());
        Assert.Equal(option, error.Option);
    }

    [Fact]
    public void A_NUL_in_a_name_of_the_index_is_refused()
    {
        using TemporaryFolder folder = Sharded();
        string path = folder.File(SafetensorsIndex.FileName);
        File.WriteAllText(path, File.ReadAllText(path).Replace("model-00003", "model-0000\\u0000", StringComparison.Ordinal));
        var error = Assert.Throws<CheckpointException>(() => SafetensorsFile.Open(folder.Path).Dispose());
        Assert.Contains("only files of the same folder are read", error.Message, StringComparison.Ordinal);
    }

    private static void RefusedAsLink(string file, string target)
    {
        using DiffusionGemmaModel model = DiffusionGemmaModel.Load(Fixtures.Checkpoint("tiny-2layer"));
        using TemporaryFolder folder = file.StartsWith("adapter", StringComparison.Ordinal) ? Adapter() : Sharded();
        File.Delete(folder.File(file));
        File.CreateSymbolicLink(folder.File(file), target);
        Exception error = Assert.ThrowsAny<Exception>(() => Open(folder.Path, file, model));
        Assert.True(error is InvalidConfigurationException or CheckpointException or AdapterException or InvalidDataException, $"{error}");
        Assert.Contains(folder.Path, error.Message, StringComparison.Ordinal);
    }

    private static void Open(string folder, string file, DiffusionGemmaModel model)
    {
        if (file.StartsWith("adapter", StringComparison.Ordinal)) LoraAdapter.Load(folder, model).Dispose();
        else if (file == "generation_config.json") ResolvedGenerationOptions.Resolve(null, folder, model.Config);
        else Checkpoint.Open(folder).Dispose();
    }

    private static TemporaryFolder Adapter() => Copy(Fixtures.Path("adapters", "decoder-only"));

    private static TemporaryFolder Sharded() => Copy(Fixtures.Checkpoint("tiny-bf16-sharded"));

    private static TemporaryFolder Copy(string source)
    {
        TemporaryFolder folder = Fixtures.Temporary();
        foreach (string path in Directory.GetFiles(source)) File.Copy(path, folder.File(Path.GetFileName(path)));
        return folder;
    }
}
