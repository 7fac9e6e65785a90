using System.Text.Json.Nodes;
using static TorchSharp.torch;

namespace DiffusionGemma;

/// <summary>Effect of each option on a new adapter, and on the folder that PEFT would read.</summary>
public class LoraOptionsTests : TorchTest
{
    private const string Checkpoint = "tiny-6layer";
    private readonly DiffusionGemmaModel _model = Load();

    [Theory]
    [InlineData(LoraInitialization.KaimingUniform)]
    [InlineData(LoraInitialization.XavierNormal)]
    public void A_is_drawn_as_asked_and_B_is_zero(LoraInitialization initialization)
    {
        using LoraAdapter adapter =
            Create(new LoraOptions { Rank = 16, Experts = true, ExpertRank = 4, SelfConditioning = true, Initialization = initialization });
        void Check(Tensor a, Tensor b, int rank)
        {
            Assert.Equal(0, b.abs().max().item<float>());
            double columns = a.shape[1], count = a.numel(), deviation = a.std().item<float>(), largest = a.abs().max().item<float>();
            double bound = 1 / Math.Sqrt(columns),
                expected = initialization == LoraInitialization.KaimingUniform ? bound / Math.Sqrt(3) : Math.Sqrt(2 / (columns + rank));
            Assert.Equal(0, a.mean().item<float>(), 5 * expected / Math.Sqrt(count));                       // five standard errors
            Assert.Equal(expected, deviation, 5 * expected / Math.Sqrt(2 * count));
            Assert.Equal(initialization == LoraInitialization.KaimingUniform, largest <= bound);
        }
        foreach ((_, LoraPair? pair) in adapter.Pairs.Values) Check(pair!.A, pair.B, 16);
        foreach ((_, ExpertsLora? stacks) in adapter.ExpertStacks.Values)
        {
            Check(stacks!.GateUp!.A, stacks.GateUp.B, 4);
            Check(stacks.Down!.A, stacks.Down.B, 4);
        }
    }

    [Fact]
    public void Targets_are_attention_dense_experts_and_self_conditioning()
    {
        int Adapted(LoraOptions options)
        {
            using LoraAdapter adapter = Create(options);
            return adapter.Modules.Count;
        }
        // six layers of four, but for one v_proj
        Assert.Equal(23, Adapted(new LoraOptions { Targets = LoraOptions.AttentionProjections }));
        Assert.Equal(18, Adapted(new LoraOptions { Targets = LoraOptions.DenseProjections }));
        Assert.Equal(41, Adapted(new LoraOptions()));
        Assert.Equal(6, Adapted(new LoraOptions { Targets = [], Experts = true }));
        Assert.Equal(3, Adapted(new LoraOptions { Targets = [], SelfConditioning = true }));
        Assert.Equal(50, Adapted(new LoraOptions { Experts = true, SelfConditioning = true }));
    }

    [Theory]
    [InlineData(false, 2.0, 24.0 / 2)]
    [InlineData(true, 32 / 4.0, 24 / 1.4142135623730951)]
    public void Experts_have_a_rank_and_alpha_of_their_own(bool rankStabilized, double scale, double expertScale)
    {
        var options =
            new LoraOptions { Rank = 16, Alpha = 32, Experts = true, ExpertRank = 2, ExpertAlpha = 24, RankStabilized = rankStabilized };
        using LoraAdapter adapter = Create(options);
        Fill(adapter);
        Assert.All(adapter.Pairs.Values, pair => Assert.Equal((16L, scale), (pair.Decoder!.A.shape[0], pair.Decoder.Scale)));
        foreach ((_, ExpertsLora? stacks) in adapter.ExpertStacks.Values)
            foreach (ExpertStackLora stack in new[] { stacks!.GateUp!, stacks.Down! })
            {
                Assert.Equal(2L * stack.Experts, stack.A.shape[0]);
                Assert.Equal(2L * stack.Experts, stack.B.shape[1]);
                Assert.Equal(expertScale, stack.Scale, 12);
            }
        JsonObject config = AssertSavedAndLoaded(adapter);
        Assert.Equal("""{"experts.down_proj":2,"experts.gate_up_proj":2}""", config["rank_pattern"]!.ToJsonString());
        Assert.Equal("""{"experts.down_proj":24,"experts.gate_up_proj":24}""", config["alpha_pattern"]!.ToJsonString());
        Assert.Equal(rankStabilized, config["use_rslora"]!.GetValue<bool>());
    }

    [Fact]
    public void One_rank_for_all_needs_no_pattern_and_experts_no_dropout()
    {
        using LoraAdapter adapter = Create(new LoraOptions { Rank = 4, Experts = true, ExpertRank = 4, Dropout = 0.25 }),
            dense = Create(new LoraOptions { Dropout = 0.25 });
        JsonObject config = AssertSavedAndLoaded(adapter);
        Assert.Equal("{}", config["rank_pattern"]!.ToJsonString());
        // PEFT refuses target_parameters with any
        Assert.Equal(0, config["lora_dropout"]!.GetValue<double>());
        Assert.Equal(0.25, AssertSavedAndLoaded(dense)["lora_dropout"]!.GetValue<double>());
    }

    [Fact]
    public void Self_conditioning_is_the_decoders_alone()
    {
        using LoraAdapter adapter = Create(new LoraOptions { Rank = 4, SelfConditioning = true, Experts = true });
        Fill(adapter);
        JsonObject config = AssertSavedAndLoaded(adapter);
        Assert.Equal(
            @"(.*(language_model|decoder)\.layers\.\d+\.(self_attn\.[qkvo]_proj|mlp\.(gate|up|down)_proj)$|"
                + @".*decoder\.(self_conditioning\.down_proj|self_conditioning\.gate_proj|self_conditioning\.up_proj)$)",
            config["target_modules"]!.GetValue<string>());

        using LoraAdapter alone = Create(new LoraOptions { Rank = 4, Targets = [], SelfConditioning = true });
        Fill(alone);
        AssertSavedAndLoaded(alone);
        (Tensor hidden, Tensor logits) = new PlainCase(Checkpoint).Run(_model);
        _model.Adapter = alone;
        (Tensor adaptedHidden, Tensor adapted) = new PlainCase(Checkpoint).Run(_model);
        Assert.Equal(0, Largest(adaptedHidden, hidden));
        Assert.True(Largest(adapted, logits) > 0.01);
    }

    /// <summary>PEFT takes the first expression that matches the end of a name; it knows encoder and decoder by theirs.</summary>
    [Fact]
    public void Patterns_of_PEFT_are_honoured()
    {
        using LoraAdapter adapter = Create(new LoraOptions { Rank = 2, Alpha = 2, Targets = ["q_proj", "o_proj"] });
        Fill(adapter);
        using TemporaryFolder folder = Fixtures.Temporary();
        adapter.Save(folder.Path, Checkpoint);
        string file = folder.File("adapter_config.json");
        JsonObject config = (JsonObject)JsonNode.Parse(File.ReadAllText(file))!;
        config["r"] = 7;
        config["rank_pattern"] = JsonNode.Parse("""{"self_attn.(q|o)_proj": 2, "q_proj": 5}""");
        config["alpha_pattern"] = JsonNode.Parse("""{"decoder\\.layers\\.[0-2]\\..*": 8, "q_proj": 4.5}""");
        File.WriteAllText(file, config.ToJsonString());
        using LoraAdapter loaded = LoraAdapter.Load(folder.Path, _model);
        (LoraPair? encoder, LoraPair? decoder) = loaded.Pairs["model.decoder.layers.1.self_attn.q_proj"];
        // equal matrices, but not one adapter
        Assert.Equal((4.5 / 2, 8.0 / 2), (encoder!.Scale, decoder!.Scale));
        Assert.Equal(2.0 / 2, loaded.Pairs["model.decoder.layers.4.self_attn.o_proj"].Decoder!.Scale);
        AssertSavedAndLoaded(loaded);
    }

    [Fact]
    public void Experts_of_their_own_rank_and_self_conditioning_train()
    {
        using var model = DiffusionGemmaModel.Load(Fixtures.Checkpoint("tiny-2layer"), TestDevice.Current, ScalarType.Float32);
        var lora =
            new LoraOptions { Rank = 4, Targets = [], Experts = true, ExpertRank = 2, SelfConditioning = true, RankStabilized = true };
        FineTuneOptions options = TinyRows.Options with
        {
            Lora = lora,
            MaxSteps = 40,
            LearningRate = 1e-2,
            Objective = TinyRows.Options.Objective with { SelfConditioningProbability = 1 }
        };
        using FineTuneResult result = FineTuner.Fit(model, TinyRows.Make(40), options);
        using LoraAdapter start = LoraAdapter.Create(model, lora, Seeds.Default);
        Assert.Equal(2 * 4 + 3 * 2, result.Adapter!.Parameters().Count());
        foreach (
            (KeyValuePair<string, Tensor> got, KeyValuePair<string, Tensor> drawn) in result.Adapter.Parameters().Zip(start.Parameters()))
            Assert.True(Largest(got.Value, drawn.Value) > 1e-3, got.Key);
        Assert.True(result.History.TakeLast(5).Average(h => h.Loss) < 0.95 * result.History[0].Loss);
        Assert.Equal(result.TrainedParameterCount, TrainingPlan.Compute(model.Config, options, ScalarType.Float32, 26).TrainedParameters);
        model.Adapter = null;
    }

    public override void Dispose()
    {
        _model.Dispose();
        base.Dispose();
    }

    private static DiffusionGemmaModel Load() =>
        DiffusionGemmaModel.Load(Fixtures.Checkpoint(Checkpoint), TestDevice.Current, ScalarType.Float32);

    private LoraAdapter Create(LoraOptions options) => LoraAdapter.Create(_model, options, seed: 3);

    private static void Fill(LoraAdapter adapter)
    {
        using var generator = new Generator(5);
        foreach ((_, Tensor tensor) in adapter.Parameters()) tensor.normal_(0, 0.1, generator);
    }

    /// <summary>An adapter that was saved and loaded computes the same to the last bit, and is written as it was.</summary>
    private JsonObject AssertSavedAndLoaded(LoraAdapter adapter)
    {
        using TemporaryFolder folder = Fixtures.Temporary(), again = Fixtures.Temporary();
        adapter.Save(folder.Path, Checkpoint);
        using LoraAdapter loaded = LoraAdapter.Load(folder.Path, _model);
        loaded.Save(again.Path, Checkpoint);
        foreach (string name in new[] { "adapter_config.json", "adapter_model.safetensors" })
            Assert.Equal(File.ReadAllBytes(folder.File(name)), File.ReadAllBytes(again.File(name)));
        _model.Adapter = adapter;
        (Tensor hidden, Tensor logits) = new PlainCase(Checkpoint).Run(_model);
        _model.Adapter = loaded;
        (Tensor loadedHidden, Tensor loadedLogits) = new PlainCase(Checkpoint).Run(_model);
        _model.Adapter = null;
        Assert.Equal(0, Largest(loadedHidden, hidden));
        Assert.Equal(0, Largest(loadedLogits, logits));
        return (JsonObject)JsonNode.Parse(File.ReadAllText(folder.File("adapter_config.json")))!;
    }
}
