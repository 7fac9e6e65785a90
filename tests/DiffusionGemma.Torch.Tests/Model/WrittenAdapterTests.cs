using static TorchSharp.torch;

namespace DiffusionGemma;

public class WrittenAdapterTests : TorchTest
{
    [Fact]
    public void An_adapter_folder_is_written_byte_for_byte_as_it_stands_in_the_repository() => WrittenFolder.AssertSame("adapter", folder =>
    {
        using var model = DiffusionGemmaModel.Load(Fixtures.Checkpoint("tiny-2layer"), TestDevice.Current, ScalarType.Float32);
        using LoraAdapter adapter = LoraAdapter.Create(model, new LoraOptions { Rank = 2, Alpha = 4, Experts = true }, seed: 0);
        int n = 0;
        foreach ((_, Tensor tensor) in adapter.Parameters()) WrittenFolder.Fill(tensor, start: 3 * n++, unit: 1.0 / 32);
        adapter.Save(folder, "tiny-2layer");
    });

    [Fact]
    public void The_folder_loads_and_moves_the_logits()
    {
        using var model = DiffusionGemmaModel.Load(Fixtures.Checkpoint("tiny-2layer"), TestDevice.Current, ScalarType.Float32);
        (Tensor hidden, Tensor logits) = new PlainCase("tiny-2layer").Run(model);
        using LoraAdapter adapter = LoraAdapter.Load(Fixtures.Path("written", "adapter"), model);
        model.Adapter = adapter;
        (Tensor adaptedHidden, Tensor adapted) = new PlainCase("tiny-2layer").Run(model);
        Assert.True(Largest(adaptedHidden, hidden) > 0.1);
        Assert.True(Largest(adapted, logits) > 0.1);
    }
}
