using System.Text.Json.Nodes;
using System.Text.RegularExpressions;
using static TorchSharp.torch;

namespace DiffusionGemma;

/// <summary>Adapters as other tools train them: on "all-linear", with copies of the embedding, or with what is not supported.</summary>
public class ForeignAdapterTests : TorchTest
{
    private const string AllLinear = "all-linear", Vision = ".vision_tower.", Prefix = "base_model.model.";
    private const string Table = Prefix + "model.decoder.embed_tokens.weight", Head = Prefix + "lm_head.weight";
    private readonly DiffusionGemmaModel _model = Load(ScalarType.Float32);

    [Theory]
    [InlineData(ScalarType.Float64, 1e-4)]                                                      // the reference's own float32 rounding
    [InlineData(ScalarType.Float32, 2e-4)]                                                      // both round
    public void Router_and_self_conditioning_are_applied(ScalarType dtype, double tolerance)
    {
        using DiffusionGemmaModel model = Load(dtype);
        using LoraAdapter adapter = LoraAdapter.Load(Fixtures.Path("adapters", AllLinear), model);
        using SafetensorsFile expected = SafetensorsFile.Open(Fixtures.Path("adapters", AllLinear, "logits.safetensors"));
        model.Adapter = adapter;
        (Tensor hidden, Tensor logits) = new PlainCase("tiny-2layer").Run(model);
        Assert.True(Largest(hidden, expected.Read("encoder_hidden")) <= tolerance);
        Assert.True(Largest(logits, expected.Read("logits_sc")) <= tolerance);
        string[] modules =
            ["model.decoder.layers.0.router.proj", "model.decoder.layers.1.router.proj", "model.decoder.self_conditioning.down_proj"];
        Assert.All(modules, module => Assert.Contains(module, adapter.Modules));

        // Without its router the adapter computes something else: the fixture tells.
        adapter.Pairs.Remove(modules[0]);
        model.Adapter = adapter;
        Assert.True(Largest(new PlainCase("tiny-2layer").Run(model).Logits, logits) > 10 * tolerance);
    }

    [Fact]
    public void The_vision_part_is_named_kept_byte_for_byte_and_written_again()
    {
        using TemporaryFolder trained = ChangedAdapter.Of(AllLinear, tensors: TrainVision);
        string source = trained.Path;
        using LoraAdapter adapter = LoraAdapter.Load(source, _model);
        Assert.Contains("9 modules of the vision part", Assert.Single(adapter.Notices), StringComparison.Ordinal);
        Assert.DoesNotContain(adapter.Modules, module => module.Contains("vision", StringComparison.Ordinal));

        using TemporaryFolder folder = Fixtures.Temporary();
        adapter.Save(folder.Path, "tiny-2layer");
        Assert.Equal(
            File.ReadAllBytes(Path.Combine(source, "adapter_model.safetensors")),
            File.ReadAllBytes(folder.File("adapter_model.safetensors")));
        // PEFT finds the modules by the written expression: exactly those of the file.
        using SafetensorsFile file = SafetensorsFile.Open(folder.File("adapter_model.safetensors"));
        string[] modules = [.. file.Tensors.Keys.Select(name => name[Prefix.Length..^".lora_A.weight".Length]).Distinct()];
        var config = (JsonObject)JsonNode.Parse(File.ReadAllText(folder.File("adapter_config.json")))!;
        var pattern = new Regex($"^(?:{config["target_modules"]})$", RegexOptions.CultureInvariant);
        Assert.All(modules, module => Assert.Matches(pattern, module));
        Assert.DoesNotMatch(pattern, "model.encoder.vision_tower.encoder.layers.1.mlp.down_proj.linear");
        Assert.DoesNotMatch(pattern, "model.encoder.language_model.self_conditioning.down_proj");
    }

    [Fact]
    public void Vision_pairs_whose_B_is_zero_are_kept_without_a_word()
    {
        string source = Fixtures.Path("adapters", AllLinear);
        using LoraAdapter adapter = LoraAdapter.Load(source, _model);
        Assert.Empty(adapter.Notices);
        using TemporaryFolder again = Fixtures.Temporary();
        adapter.Save(again.Path, "tiny-2layer");
        Assert.Equal(
            File.ReadAllBytes(Path.Combine(source, "adapter_model.safetensors")),
            File.ReadAllBytes(again.File("adapter_model.safetensors")));
    }

    [Fact]
    public void Half_a_vision_pair_and_a_wrong_rank_are_refused()
    {
        const string Half = Prefix + "model.encoder.embed_vision.embedding_projection.lora_B.weight";
        using TemporaryFolder half = ChangedAdapter.Of(AllLinear, tensors: t => t.Remove(Half));
        Refused(half.Path, $"'{Half}' is missing");
        using TemporaryFolder rank = ChangedAdapter.Of(AllLinear, tensors: t => t[Half] = zeros(64, 3));
        Refused(rank.Path, $"'{Half}' is [64,3], which is not of r = 2");
    }

    /// <summary>One stack of weights holds one set of values: the encoder's are made the decoder's.</summary>
    [Fact]
    public void A_merged_folder_has_the_vision_parts_deltas_too()
    {
        using TemporaryFolder folder = ChangedAdapter.Of(AllLinear, tensors: t =>
        {
            foreach (string name in t.Keys.Where(n => n.Contains(".language_model.", StringComparison.Ordinal)).ToList())
                t[name] = t[name.Replace("encoder.language_model", "decoder", StringComparison.Ordinal)];
            TrainVision(t);
        });
        using LoraAdapter adapter = LoraAdapter.Load(folder.Path, _model);
        _model.Adapter = adapter;
        Tensor logits = new PlainCase("tiny-2layer").Run(_model).Logits;
        adapter.SaveMerged(_model, folder.File("merged"));

        using DiffusionGemmaModel merged = DiffusionGemmaModel.Load(folder.File("merged"));
        Assert.True(Largest(new PlainCase("tiny-2layer").Run(merged).Logits, logits) <= 1e-4);      // float32, two ways of one sum
        const string Module = "model.encoder.vision_tower.patch_embedder.input_proj";
        using SafetensorsFile pairs = SafetensorsFile.Open(folder.File("adapter_model.safetensors"));
        using SafetensorsFile before = SafetensorsFile.Open(Fixtures.Checkpoint("tiny-2layer"));
        using SafetensorsFile after = SafetensorsFile.Open(folder.File("merged"));
        Tensor delta = pairs.Read($"{Prefix}{Module}.lora_B.weight").mm(pairs.Read($"{Prefix}{Module}.lora_A.weight")) * 2;     // 4 / 2
        Assert.True(delta.abs().max().item<float>() > 0.1);
        Assert.True(Largest(after.Read($"{Module}.weight"), before.Read($"{Module}.weight") + delta) <= 1e-6);
    }

    [Fact]
    public void Training_goes_on_from_such_an_adapter_and_reaches_the_router()
    {
        using LoraAdapter adapter = LoraAdapter.Load(Fixtures.Path("adapters", AllLinear), _model);
        LoraPair router = adapter.Pairs["model.decoder.layers.0.router.proj"].Decoder!;
        (Tensor a, Tensor b) = (router.A.clone(), router.B.clone());
        _model.Adapter = adapter;
        using FineTuneResult result = FineTuner.Fit(
            _model, TinyRows.Make(8), TinyRows.Options with { MaxSteps = 3, Lora = new LoraOptions { Rank = 2, Alpha = 4 } });
        Assert.True(Largest(router.A, a) > 0);
        Assert.True(Largest(router.B, b) > 0);
        Assert.Equal(18, result.Adapter!.Vision.Count);
    }

    [Fact]
    public void The_bases_own_embedding_beside_an_adapter_is_accepted()
    {
        using TemporaryFolder folder = ChangedAdapter.Of(
            AllLinear, config => config["modules_to_save"] = new JsonArray("embed_tokens", "lm_head"), tensors =>
            {
                tensors[Table] = _model.Stack.Embedding.Tensor!.clone();
                tensors[Head] = _model.Stack.Embedding.Tensor!.to(ScalarType.Float64);                  // the same values in a wider dtype
                tensors[Prefix + "model.encoder.language_model.embed_tokens.weight"] = _model.Stack.Embedding.Tensor!.clone();
            });
        using LoraAdapter adapter = LoraAdapter.Load(folder.Path, _model);
        using LoraAdapter without = LoraAdapter.Load(Fixtures.Path("adapters", AllLinear), _model);
        Assert.Equal(without.ParameterCount, adapter.ParameterCount);
        // The model may be loaded in a narrower dtype: it is the checkpoint that decides.
        using DiffusionGemmaModel narrow = Load(ScalarType.BFloat16);
        LoraAdapter.Load(folder.Path, narrow).Dispose();
    }

    [Fact]
    public void A_trained_embedding_is_refused()
    {
        using TemporaryFolder one = ChangedAdapter.Of(AllLinear, tensors: t =>
        {
            t[Table] = _model.Stack.Embedding.Tensor!.clone();
            t[Table][127, 63] += 1;
        });
        Refused(one.Path, $"'{Table}' is a trained embedding");
        using TemporaryFolder resized = ChangedAdapter.Of(AllLinear, tensors: t => t[Head] = zeros(130, 64));
        Refused(resized.Path, $"'{Head}' is a trained embedding");
        using TemporaryFolder pair = ChangedAdapter.Of(
            AllLinear, tensors: t => t[Prefix + "model.decoder.embed_tokens.lora_embedding_A"] = zeros(2, 128));
        Refused(pair.Path, "lora_embedding_A' is a trained embedding");
        using TemporaryFolder head = ChangedAdapter.Of(AllLinear, tensors: t => t[Prefix + "lm_head.lora_A.weight"] = zeros(2, 64));
        Refused(head.Path, "lm_head.lora_A.weight' is a trained embedding");
    }

    public static TheoryData<string, string> Strangers() => new()
    {
        { "model.decoder.layers.0.mlp.up_proj.lora_magnitude_vector", "belongs to DoRA" },
        { "model.decoder.layers.0.mlp.up_proj.lora_B.bias", "is a trained bias" },
        { "model.decoder.norm.weight", "was trained whole (modules_to_save)" },
        { "model.encoder.vision_tower.patch_embedder.input_proj.weight", "was trained whole (modules_to_save)" },
        { "model.encoder.vision_tower.patch_embedder.input_proj.bias", "is a trained bias" },
        { "model.encoder.language_model.self_conditioning.up_proj.lora_A.weight", "can be adapted here" },
    };

    [Theory]
    [MemberData(nameof(Strangers))]
    public void What_is_no_pair_is_refused_by_its_kind(string tensor, string words)
    {
        using TemporaryFolder folder = ChangedAdapter.Of(AllLinear, tensors: t => t[Prefix + tensor] = zeros(8));
        Refused(folder.Path, words);
        Refused(folder.Path, tensor);
    }

    /// <summary>The tensors say which modules there are; patterns that match none of them have no effect, as in PEFT.</summary>
    [Fact]
    public void Settings_that_choose_modules_are_as_PEFT_means_them()
    {
        using TemporaryFolder folder = ChangedAdapter.Of("shared", config =>
        {
            config["target_modules"] = "all-linear";
            config["layers_to_transform"] = new JsonArray(0, 1);
            config["layers_pattern"] = "layers";
            config["exclude_modules"] = new JsonArray("lm_head", "vision_tower");
            config["rank_pattern"] = new JsonObject { ["layers.77.q_proj"] = 8, ["(?P<part>mlp)\\.up_proj"] = 4 };
            config["alpha_pattern"] = new JsonObject { ["^model.decoder.layers.0.mlp.up_proj"] = 6.5, ["mlp.up_proj"] = 2 };
        });
        using DiffusionGemmaModel model =
            DiffusionGemmaModel.Load(Fixtures.Checkpoint("tiny-6layer"), TestDevice.Current, ScalarType.Float32);
        using LoraAdapter adapter = LoraAdapter.Load(folder.Path, model);
        Assert.Contains("'rank_pattern' names 'layers.77.q_proj'", Assert.Single(adapter.Notices), StringComparison.Ordinal);
        double Scale(string module) => adapter.Pairs[module].Decoder!.Scale;
        Assert.Equal(6.5 / 4, Scale("model.decoder.layers.0.mlp.up_proj"));
        Assert.Equal(2.0 / 4, Scale("model.decoder.layers.1.mlp.up_proj"));
        Assert.Equal(2.0 / 4, adapter.Pairs["model.decoder.layers.0.mlp.up_proj"].Encoder!.Scale);
    }

    /// <summary>A later version of PEFT may write them; what asks for nothing is no news.</summary>
    [Fact]
    public void Settings_that_are_not_known_are_named()
    {
        using TemporaryFolder folder = ChangedAdapter.Of("shared", config =>
        {
            config["later"] = true;
            config["latest"] = new JsonObject { ["a"] = 1 };
            config["never"] = false;
            // PEFT sets it back for linear layers.
            config["fan_in_fan_out"] = true;
            config["none"] = new JsonArray();
            config["runtime_config"] = new JsonObject { ["ephemeral_gpu_offload"] = false };
        });
        using DiffusionGemmaModel model = DiffusionGemmaModel.Load(Fixtures.Checkpoint("tiny-6layer"), TestDevice.Current);
        using LoraAdapter adapter = LoraAdapter.Load(folder.Path, model);
        Assert.Contains(
            "sets 'later', 'latest', which this library does not know", Assert.Single(adapter.Notices), StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("r", "4.5", "'r' is 4.5, expected a whole number")]
    [InlineData("r", "\"4\"", "'r' is \"4\", expected a whole number")]
    [InlineData("lora_dropout", "1.5", "'lora_dropout' is 1.5, expected a number from 0 to below 1")]
    [InlineData("lora_dropout", "-0.1", "'lora_dropout' is -0.1")]
    [InlineData("use_rslora", "1", "'use_rslora' is 1, expected true or false")]
    public void Settings_of_a_wrong_kind_are_named(string key, string value, string message)
    {
        using TemporaryFolder folder = ChangedAdapter.Of(AllLinear, config => config[key] = JsonNode.Parse(value));
        Refused(folder.Path, message);
    }

    [Fact]
    public void Of_equal_keys_in_its_configuration_the_last_counts()
    {
        using TemporaryFolder folder = ChangedAdapter.Of(AllLinear);
        string path = folder.File("adapter_config.json"), json = File.ReadAllText(path);
        File.WriteAllText(path, $"{{\"r\": 16, \"bias\": \"all\", \"rank_pattern\": {{\"a\": 0}},{json[1..^1]}, \"lora_alpha\": 8}}");
        using LoraAdapter adapter = LoraAdapter.Load(folder.Path, _model);
        Assert.Equal((2, 8.0), (adapter.Rank, adapter.Alpha));
    }

    /// <summary>The stack of gates and ups is [4, 64, 64] here: it fits both layouts.</summary>
    [Fact]
    public void Square_expert_stacks_without_a_version_are_refused_unless_the_layout_is_stated()
    {
        using LoraAdapter made = LoraAdapter.Create(_model, new LoraOptions { Targets = [], Experts = true, Rank = 2 }, seed: 1);
        foreach (string module in made.ExpertStacks.Keys.ToList())
        {
            ExpertsLora gateUp = made.ExpertStacks[module].Decoder! with { Down = null };
            gateUp.GateUp!.B.normal_();
            made.ExpertStacks[module] = (gateUp, gateUp);
        }
        using TemporaryFolder saved = Fixtures.Temporary();
        made.Save(saved.Path, "tiny-2layer");
        using TemporaryFolder folder = ChangedAdapter.OfFolder(saved.Path, config => config.Remove("peft_version"));
        Refused(folder.Path, "LoraAdapter.Load(..., layout: ExpertStackLayout.SincePeft0191");

        using LoraAdapter newer = LoraAdapter.Load(folder.Path, _model, ExpertStackLayout.SincePeft0191);
        using LoraAdapter older = LoraAdapter.Load(folder.Path, _model, ExpertStackLayout.BeforePeft0191);
        foreach ((string module, (_, ExpertsLora? stacks)) in made.ExpertStacks)
        {
            Tensor delta = stacks!.GateUp!.FullDelta();
            Assert.Equal(0, Largest(newer.ExpertStacks[module].Decoder!.GateUp!.FullDelta(), delta));
            Assert.True(Largest(older.ExpertStacks[module].Decoder!.GateUp!.FullDelta(), delta.transpose(1, 2)) <= 1e-5);
        }

        Assert.Contains("Leave the layout out", Assert.Throws<AdapterException>(
            () => LoraAdapter.Load(saved.Path, _model, ExpertStackLayout.BeforePeft0191)).Message, StringComparison.Ordinal);
        LoraAdapter.Load(saved.Path, _model, ExpertStackLayout.SincePeft0191).Dispose();
    }

    [Theory]
    [InlineData("shared", null)]                                                                // no expert stacks
    [InlineData("experts", null)]                                                               // stacks that fit the newer alone
    [InlineData("experts-peft-0.18", ExpertStackLayout.BeforePeft0191)]
    public void Without_a_version_shapes_tell_where_they_can(string kind, ExpertStackLayout? layout)
    {
        using DiffusionGemmaModel model =
            DiffusionGemmaModel.Load(Fixtures.Checkpoint("tiny-6layer"), TestDevice.Current, ScalarType.Float32);
        using TemporaryFolder folder = ChangedAdapter.Of(kind, config => config.Remove("peft_version"));
        LoraAdapter.Load(folder.Path, model).Dispose();
        LoraAdapter.Load(folder.Path, model, layout).Dispose();
    }

    public override void Dispose()
    {
        _model.Dispose();
        base.Dispose();
    }

    /// <summary>The fixture's vision part has B of zero, as where training saw no image.</summary>
    private static void TrainVision(Dictionary<string, Tensor> tensors)
    {
        foreach (string name in tensors.Keys.Where(IsVision).Where(name => name.EndsWith("lora_B.weight", StringComparison.Ordinal)))
            tensors[name].fill_(0.5);
    }

    private static bool IsVision(string name) =>
        name.Contains(Vision, StringComparison.Ordinal) || name.Contains("embed_vision", StringComparison.Ordinal);

    private void Refused(string folder, string message) =>
        Assert.Contains(message, Assert.Throws<AdapterException>(() => LoraAdapter.Load(folder, _model)).Message, StringComparison.Ordinal);

    private static DiffusionGemmaModel Load(ScalarType dtype) =>
        DiffusionGemmaModel.Load(Fixtures.Checkpoint("tiny-2layer"), TestDevice.Current, dtype);
}
