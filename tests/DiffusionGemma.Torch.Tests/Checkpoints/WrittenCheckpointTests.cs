using static TorchSharp.torch;

namespace DiffusionGemma;

public class WrittenCheckpointTests : TorchTest
{
    private static readonly string[] Replaced =
    [
        "model.decoder.norm.weight", "model.decoder.layers.0.self_attn.q_proj.weight", "model.decoder.layers.0.mlp.up_proj.weight",
        "model.decoder.layers.1.experts.down_proj", "model.decoder.self_conditioning.down_proj.weight",
    ];

    [Fact]
    public void A_checkpoint_folder_is_written_byte_for_byte_as_it_stands_in_the_repository() =>
        WrittenFolder.AssertSame("checkpoint", folder =>
    {
        using var model = DiffusionGemmaModel.Load(Fixtures.Checkpoint("tiny-2layer"), CPU, ScalarType.Float32);
        foreach ((int n, string name) in Replaced.Index())
        {
            WrittenFolder.Fill(model.Stack.Parameters[name], start: n, unit: 1.0 / 8);
            model.Changed.Add(name);
        }
        model.Save(folder, maxShardBytes: 300_000);
    });

    [Fact]
    public void The_folder_loads_and_answers_otherwise_than_its_source()
    {
        using var source = DiffusionGemmaModel.Load(Fixtures.Checkpoint("tiny-2layer"), CPU, ScalarType.Float32);
        using var written = DiffusionGemmaModel.Load(Fixtures.Path("written", "checkpoint"), CPU, ScalarType.Float32);
        Assert.True(File.Exists(Fixtures.Path("written", "checkpoint", "model.safetensors.index.json")));
        (Tensor hidden, Tensor logits) = new PlainCase("tiny-2layer").Run(source);
        (Tensor otherHidden, Tensor other) = new PlainCase("tiny-2layer").Run(written);
        Assert.True(Largest(otherHidden, hidden) > 0.1);
        Assert.True(Largest(other, logits) > 0.1);
        foreach ((string name, Tensor tensor) in source.Stack.Parameters)
            Assert.Equal(Replaced.Contains(name), Largest(written.Stack.Parameters[name], tensor) > 0);
    }
}
