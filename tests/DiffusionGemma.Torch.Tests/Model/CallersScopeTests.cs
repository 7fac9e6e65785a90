using TorchSharp;
using static TorchSharp.torch;

namespace DiffusionGemma;

/// <summary>A caller may call everything within its own dispose scope: only what is documented to be its own stays there.</summary>
public sealed class CallersScopeTests : TorchTest
{
    public static TheoryData<string, ScalarType, Quantization> Checkpoints => new()
    {
        { "tiny-2layer", ScalarType.Float32, Quantization.None }, { "tiny-2layer", ScalarType.BFloat16, Quantization.None },
        { "tiny-chat", ScalarType.Float32, Quantization.Int8 },
    };

    [Theory]
    [MemberData(nameof(Checkpoints))]
    public void Loading_answering_adapting_and_saving_keep_no_tensor(string checkpoint, ScalarType dtype, Quantization quantization)
    {
        using TemporaryFolder folder = Fixtures.Temporary();
        using DisposeScope scope = NewDisposeScope();
        using DiffusionGemmaModel model = DiffusionGemmaModel.Load(Fixtures.Checkpoint(checkpoint), CPU, dtype, quantization);
        Assert.Equal(0, scope.DisposablesCount);
        CanvasGenerator.Generate(model, [[2, 30, 31], [2, 40]], new GenerationOptions { EosTokenIds = [], MaxDenoisingSteps = 2 });
        Assert.Equal(0, scope.DisposablesCount);
        FineTuner.Evaluate(model, TinyRows.Make(1));
        Assert.Equal(0, scope.DisposablesCount);
        using (LoraAdapter created = LoraAdapter.Create(model, new LoraOptions { Rank = 2, Experts = true }, seed: 1))
        {
            model.Adapter = created;
            created.Save(folder.Path, "the base");
            model.Adapter = null;
        }
        using LoraAdapter adapter = LoraAdapter.Load(folder.Path, model);
        model.Adapter = adapter;
        Assert.Equal(0, scope.DisposablesCount);
        if (quantization == Quantization.None)
        {
            adapter.SaveMerged(model, folder.File("merged"));
            adapter.MergeInto(model);
            model.Save(folder.File("saved"));
        }
        model.Adapter = null;
        Assert.Equal(0, scope.DisposablesCount);
    }

    [Fact]
    public void The_passes_leave_their_results_alone()
    {
        using DisposeScope scope = NewDisposeScope();
        using DiffusionGemmaModel model = DiffusionGemmaModel.Load(Fixtures.Checkpoint("tiny-2layer"));
        using Tensor ids = tensor(new long[,] { { 2, 30, 31 } }), canvas = tensor(new long[,] { { 7, 8, 9, 10 } });
        int before = scope.DisposablesCount;
        using (EncoderCache cache = model.Encode(ids))
        using (Tensor logits = model.Decode(canvas, cache))
            Assert.Equal([1, 4, model.Config.VocabularySize], logits.shape);
        Assert.Equal(before, scope.DisposablesCount);
    }
}
