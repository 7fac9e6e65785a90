using DiffusionGemma.FineTuning;
using Microsoft.ML;
using Microsoft.ML.Data;
using Microsoft.ML.TorchSharp.AutoFormerV2;
using static TorchSharp.torch;

namespace DiffusionGemma.Pipeline;

/// <summary>Modules of Microsoft.ML.TorchSharp and a pipeline of this library in one process, on one TorchSharp.</summary>
public sealed class MicrosoftTorchSharpTests
{
    /// <summary>Layers of ML.NET's object detector, with random weights, before and after fitting and answering.</summary>
    [Fact]
    public void Modules_of_ML_NETs_detector_and_a_pipeline_run_in_one_process()
    {
        using var scope = NewDisposeScope();
        using IDisposable quiet = no_grad();
        using var patches = new PatchEmbed(3, 64);
        using var head = new RetinaHead(3, 64);
        patches.eval();
        head.eval();
        Tensor image = linspace(-1, 1, 3 * 64 * 64).view(1, 3, 64, 64);
        float[][] before = Maps();

        var ml = new MLContext(seed: 1);
        IDataView rows = TinyChat.Questions(ml, 4);
        using TransformerChain<DiffusionGemmaTransformer> model = TinyChat.Preparation(ml)
            .Append(ml.Transforms.DiffusionGemma.FineTune(TinyChat.Checkpoint, TinyChat.Lora, TinyChat.Quick)).Fit(rows);
        Assert.Equal(before, Maps());
        IDataView answers = model.Transform(TinyChat.Unanswered(ml, "What is 1 plus 2?", "What is 3 plus 4?"));
        Assert.Equal(2, answers.GetColumn<string>("Response").Count());
        Assert.Equal(before, Maps());

        float[][] Maps()
        {
            Tensor map = patches.forward(image);
            (List<Tensor> classes, List<Tensor> boxes) = head.forward([map]);
            Tensor[] maps = [map, .. classes, .. boxes];
            Assert.All(maps, m => Assert.True(m.isfinite().all().item<bool>()));
            return [.. maps.Select(m => m.contiguous().data<float>().ToArray())];
        }
    }

    /// <summary>
    /// The whole detector calls an overload of interpolate that TorchSharp 0.107 has no more (docs/torchsharp.md). When this test fails,
    /// they fit together again, and the page can say so.
    /// </summary>
    [Fact]
    public void The_whole_detector_asks_for_an_older_TorchSharp()
    {
        using var scope = NewDisposeScope();
        using var backbone = new AutoFormerV2Backbone();
        Tensor image = zeros(1, 3, 64, 64);
        string message = Assert.Throws<MissingMethodException>(() => backbone.forward(image)).Message;
        Assert.Contains("interpolate", message, StringComparison.Ordinal);
    }
}
