using System.Text.Json.Nodes;
using static TorchSharp.torch;

namespace DiffusionGemma;

/// <summary>LoRA over stored weights is LoRA over their values. Float64, where only the order of sums differs: 1e-10.</summary>
public class QuantizedLoraTests : TorchTest
{
    private static readonly LoraOptions Everything = new() { Rank = 4, Experts = true, ExpertRank = 2, SelfConditioning = true };

    public static TheoryData<string> Forms => QuantizedFixtureTests.Forms;

    [Theory]
    [MemberData(nameof(Forms))]
    public void Gradients_equal_those_over_the_values(string form)
    {
        using TemporaryFolder values = Dequantised(form);
        Dictionary<string, Tensor> got = Gradients(Fixtures.Path("quantized", form)), expected = Gradients(values.Path);
        Assert.Equal(expected.Keys, got.Keys);
        foreach ((string name, Tensor gradient) in expected)
        {
            Assert.True(gradient.abs().max().item<double>() > 0, name);
            Assert.InRange(Largest(got[name], gradient), 0, 1e-10);
        }
    }

    [Theory]
    [InlineData("int4", false, false, 1)]
    [InlineData("nvfp4", true, false, 1)]
    [InlineData("int8", false, true, 1)]
    [InlineData("int4-fused", false, false, 2)]
    [InlineData("modelopt-nvfp4", true, false, 2)]
    public void Runs_equal_those_over_the_values(string form, bool checkpointing, bool dropout, int ranks)
    {
        using TemporaryFolder values = Dequantised(form);
        FineTuneOptions options = TinyRows.Options with
        {
            MaxSteps = 4,
            Lora = Everything with { Dropout = dropout ? 0.1 : 0 },
            Devices = Device.Cpu(ranks),
            Run = TinyRows.Options.Run with { ActivationCheckpointing = checkpointing, Precision = ScalarType.Float64 },
        };
        using FineTuneResult got = FineTuner.Fit(Fixtures.Path("quantized", form), TinyRows.Make(16), options);
        using FineTuneResult expected = FineTuner.Fit(values.Path, TinyRows.Make(16), options);
        foreach ((StepRecord a, StepRecord b) in got.History.Zip(expected.History))
        {
            Assert.Equal(b.Loss, a.Loss, 1e-8);                                               // AdamW divides small gradients by themselves
            Assert.Equal(b.GradientNorm, a.GradientNorm, 1e-6);
        }
    }

    [Fact]
    public void Weights_that_are_quantised_do_not_train()
    {
        string folder = Fixtures.Path("quantized", "int4");
        using TemporaryFolder output = Fixtures.Temporary();
        FineTuneOptions full = TinyRows.Options with { OutputFolder = output.Path };
        Assert.Contains("quantised", Assert.Throws<ArgumentException>(() => FineTuner.Fit(folder, TinyRows.Make(8), full)).Message);
        using var model = DiffusionGemmaModel.Load(folder);
        ArgumentException error = Assert.Throws<ArgumentException>(() => FineTuner.Fit(model, TinyRows.Make(8), TinyRows.Options));
        Assert.Contains("FineTuneOptions.Lora", error.Message);
    }

    [Fact]
    public void A_merge_goes_into_the_original_weights()
    {
        using var model = DiffusionGemmaModel.Load(Fixtures.Path("quantized", "int4"));
        using LoraAdapter adapter = Filled(model);
        using TemporaryFolder merged = Fixtures.Temporary(), same = Fixtures.Temporary();
        string original = Fixtures.Checkpoint("tiny-2layer");
        Assert.Contains("SaveMerged", Assert.Throws<InvalidOperationException>(() => adapter.MergeInto(model)).Message);
        Assert.Contains("original", Assert.Throws<InvalidOperationException>(() => adapter.SaveMerged(model, merged.Path)).Message);
        Assert.Throws<ArgumentException>(() => adapter.SaveMerged(model, merged.Path, Fixtures.Path("quantized", "int8"), null));
        Assert.Contains("another model", Assert.Throws<ArgumentException>(
            () => adapter.SaveMerged(model, merged.Path, Fixtures.Checkpoint("tiny-6layer"), null)).Message);
        adapter.SaveMerged(model, merged.Path, original);

        using var plain = DiffusionGemmaModel.Load(original);
        using LoraAdapter like = Filled(plain);
        like.SaveMerged(plain, same.Path);
        Assert.Equal(File.ReadAllBytes(same.File("model.safetensors")), File.ReadAllBytes(merged.File("model.safetensors")));
    }

    /// <summary>A delta that was trained over other weights of the same shapes is not merged into them.</summary>
    [Fact]
    public void A_merge_into_weights_with_other_norms_is_refused()
    {
        const string name = "model.decoder.layers.1.input_layernorm.weight";
        using TemporaryFolder other = QuantizedCopies.With("int4", tensors: all => all[name].flatten()[3] += 0.5);
        using TemporaryFolder merged = Fixtures.Temporary();
        using var model = DiffusionGemmaModel.Load(other.Path);
        using LoraAdapter adapter = Filled(model);
        ArgumentException error = Assert.Throws<ArgumentException>(
            () => adapter.SaveMerged(model, merged.Path, Fixtures.Checkpoint("tiny-2layer")));
        Assert.Contains(name, error.Message);
        Assert.Empty(Directory.GetFileSystemEntries(merged.Path));
    }

    [Fact]
    public void A_saved_quantised_folder_is_the_same_folder()
    {
        using TemporaryFolder saved = Fixtures.Temporary();
        foreach (string form in new[] { "fp8", "nvfp4" })
        {
            using var model = DiffusionGemmaModel.Load(Fixtures.Path("quantized", form));
            model.Save(saved.Path);
            Assert.Equal(
                File.ReadAllBytes(Fixtures.Path("quantized", form, "model.safetensors")),
                File.ReadAllBytes(saved.File("model.safetensors")));
        }
    }

    private static LoraAdapter Filled(DiffusionGemmaModel model)
    {
        LoraAdapter adapter = LoraAdapter.Create(model, Everything, seed: 1);
        using var generator = new Generator(5);
        foreach ((_, Tensor tensor) in adapter.Parameters()) tensor.normal_(0, 0.05, generator);
        return adapter;
    }

    /// <summary>Gradients of an adapter with values, through both passes.</summary>
    private static Dictionary<string, Tensor> Gradients(string folder)
    {
        using var model = DiffusionGemmaModel.Load(folder, TestDevice.Current, ScalarType.Float64);
        LoraAdapter adapter = Filled(model);
        model.Adapter = adapter;
        foreach ((_, Tensor parameter) in adapter.Parameters()) parameter.requires_grad_(true);
        PassContext encoder = new(Pass.Encoder), decoder = encoder with { Pass = Pass.Decoder };
        Tensor prompt = arange(10, 29).view(1, 19), canvas = arange(40, 48).view(1, 8), target = arange(60, 68);
        using EncoderCache cache = model.Encode(prompt, null, null, encoder);
        Tensor previous = model.Logits(cache.LastHiddenState, decoder).detach().narrow(1, 0, 8);
        Tensor hidden = model.Decode(canvas, cache, previous, null, null, null, decoder);
        Tensor loss = nn.functional.cross_entropy(model.Logits(hidden, decoder).flatten(0, 1), target)
            + nn.functional.cross_entropy(model.Logits(cache.LastHiddenState, decoder).narrow(1, 0, 18).flatten(0, 1), arange(11, 29));
        decoder.Backward.Run(loss);
        model.Adapter = null;
        return adapter.Parameters().ToDictionary(p => p.Key, p => p.Value.grad!.clone());
    }

    /// <summary>The folder of a quantised one's values in float32, which holds them exactly.</summary>
    private static TemporaryFolder Dequantised(string form)
    {
        TemporaryFolder folder = Fixtures.Temporary($"values-{form}");
        using var scope = NewDisposeScope();
        using Checkpoint checkpoint = Checkpoint.Open(Fixtures.Path("quantized", form));
        var tensors = checkpoint.Weights.Tensors.Keys
            .Where(name => CheckpointLayout.Expected(checkpoint.Config).ContainsKey(name) && !checkpoint.Quantized.ContainsKey(name))
            .ToDictionary(name => name, name => checkpoint.Read(name, CPU, ScalarType.Float32));
        foreach ((string name, WeightLayout layout) in checkpoint.Quantized)
        {
            Tensor[] slices = [.. Enumerable.Range(0, layout.Slices.Count).Select(slice => cat(
                [.. checkpoint.ReadSlice(name, slice).Select(matrix => Kernels.Dequantize(matrix, ScalarType.Float32))], 0))];
            tensors[name] = layout.Shape.Count == 3 ? stack(slices, 0) : slices[0];
        }
        SafetensorsFile.Write(folder.File("model.safetensors"), tensors, new Dictionary<string, string> { ["format"] = "pt" });
        JsonObject config = JsonNode.Parse(File.ReadAllText(Fixtures.Path("quantized", form, "config.json")))!.AsObject();
        config.Remove("quantization_config");
        config["dtype"] = "float32";
        File.WriteAllText(folder.File("config.json"), config.ToJsonString());
        return folder;
    }
}
