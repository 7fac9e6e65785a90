using System.Text.Json.Nodes;
using static TorchSharp.torch;

namespace DiffusionGemma;

public class CheckpointTests
{
    [Theory]
    [InlineData("tiny-2layer")]
    [InlineData("tiny-6layer")]
    [InlineData("tiny-nemo")]
    [InlineData("tiny-bf16-sharded")]
    [InlineData("tiny-chat")]
    public void Every_small_checkpoint_opens_and_reads_in_every_precision(string name)
    {
        using Checkpoint checkpoint = Checkpoint.Open(Fixtures.Checkpoint(name));
        using var scope = NewDisposeScope();
        foreach ((string tensor, long[] shape) in CheckpointLayout.Expected(checkpoint.Config))
            foreach (ScalarType dtype in (ScalarType[])[ScalarType.Float32, ScalarType.Float64, ScalarType.BFloat16])
            {
                Tensor read = checkpoint.Read(tensor, CPU, dtype);
                Assert.Equal(shape, read.shape);
                Assert.Equal(dtype, read.dtype);
                Assert.True(read.isfinite().all().item<bool>());
            }
    }

    /// <summary>Older files have no dtype; transformers then takes the weights' own.</summary>
    [Theory]
    [InlineData("tiny-2layer", null, ScalarType.Float32)]
    [InlineData("tiny-chat", "null", ScalarType.BFloat16)]
    [InlineData("tiny-bf16-sharded", "\"auto\"", ScalarType.BFloat16)]
    public void A_config_without_dtype_takes_the_weights_own(string name, string? json, ScalarType expected)
    {
        using TemporaryFolder folder = CheckpointCopies.Of(name);
        var config = (JsonObject)JsonNode.Parse(File.ReadAllText(folder.File("config.json")))!;
        config.Remove("dtype");
        if (json is not null) config["dtype"] = JsonNode.Parse(json);
        File.WriteAllText(folder.File("config.json"), config.ToJsonString());
        using DiffusionGemmaModel model = DiffusionGemmaModel.Load(folder.Path);
        Assert.Equal((expected, expected), (model.DType, model.Config.DType!.Value));
        Assert.Null(DiffusionGemmaConfig.Load(folder.Path).DType);
    }

    [Fact]
    public void A_missing_tensor_is_named() =>
        Refused("model.decoder.norm.weight", tensors => tensors.Remove("model.decoder.norm.weight"));

    [Fact]
    public void An_extra_tensor_is_named()
    {
        Refused("model.decoder.extra", tensors => tensors["model.decoder.extra"] = zeros(1));
        Refused("model.encoder.language_model.layers.9.layer_scalar",
            tensors => tensors["model.encoder.language_model.layers.9.layer_scalar"] = zeros(1));
        Refused("model.encoder.language_model.extra", tensors => tensors["model.encoder.language_model.extra"] = zeros(1));
    }

    [Fact]
    public void A_tensor_of_another_shape_is_named() =>
        Refused("model.decoder.norm.weight Float32 [32] instead of [64]", tensors => tensors["model.decoder.norm.weight"] = zeros(32));

    [Fact]
    public void A_tensor_that_is_not_of_floating_point_is_named() =>
        Refused("model.decoder.norm.weight Int32 [64]", tensors => tensors["model.decoder.norm.weight"] = zeros(64, ScalarType.Int32));

    [Fact]
    public void Many_missing_tensors_are_counted() =>
        Refused("and 10 more", tensors =>
        {
            foreach (string name in tensors.Keys.Where(name => name.StartsWith("model.decoder.layers.1.")).Take(20).ToArray())
                tensors.Remove(name);
        });

    [Fact]
    public void Tied_copies_that_equal_the_decoders_are_accepted()
    {
        using TemporaryFolder folder = CheckpointCopies.With("tiny-2layer", AddTiedCopies);
        Checkpoint.Open(folder.Path).Dispose();
    }

    [Fact]
    public void Tied_copies_that_differ_are_refused()
    {
        Refused("lm_head.weight", tensors =>
        {
            AddTiedCopies(tensors);
            tensors["lm_head.weight"] = tensors["lm_head.weight"] + 1e-3;
        });
        Refused("model.encoder.language_model.norm.weight", tensors =>
        {
            AddTiedCopies(tensors);
            tensors["model.encoder.language_model.norm.weight"] = tensors["model.encoder.language_model.norm.weight"]
                .to(ScalarType.BFloat16);
        });
    }

    [Fact]
    public void A_folder_without_config_is_refused()
    {
        using TemporaryFolder folder = CheckpointCopies.Of("tiny-2layer");
        File.Delete(folder.File("config.json"));
        Assert.Throws<InvalidConfigurationException>(() => Checkpoint.Open(folder.Path));
    }

    internal static void AddTiedCopies(Dictionary<string, Tensor> tensors)
    {
        tensors["lm_head.weight"] = tensors["model.decoder.embed_tokens.weight"].clone();
        foreach (string name in tensors.Keys.Where(name => name.StartsWith("model.decoder.") && !name.Contains("self_conditioning")
            && !name.EndsWith("layer_scalar")).ToArray())
            tensors[name.Replace("model.decoder.", "model.encoder.language_model.")] = tensors[name].clone();
    }

    private static void Refused(string says, Action<Dictionary<string, Tensor>> edit)
    {
        using TemporaryFolder folder = CheckpointCopies.With("tiny-2layer", edit);
        CheckpointException error = Assert.Throws<CheckpointException>(() => Checkpoint.Open(folder.Path));
        Assert.Contains(says, error.Message);
        Assert.Contains(folder.Path, error.Message);
    }
}
