using System.Reflection;
using Microsoft.ML;
using Microsoft.ML.Data;
using TorchSharp;

namespace DiffusionGemma.FineTuning;

/// <summary>
/// The pipeline on several CPU ranks beside the same one on one: losses in float32 to 1e-3 of the loss (two layers of rounding, then Adam),
/// and a model that answers, is saved and loaded.
/// </summary>
public sealed class RanksTests
{
    private readonly MLContext _ml = new(seed: 7);

    [Theory]
    [InlineData(true, 2)]
    [InlineData(false, 4)]
    public void A_pipeline_trains_on_ranks(bool lora, int ranks)
    {
        using TemporaryFolder folder = Fixtures.Temporary();
        IDataView data = TinyChat.Questions(_ml, 6);
        var lines = new List<string>();
        _ml.Log += (_, line) =>
        {
            lock (lines) lines.Add(line.RawMessage);
        };
        TransformerChain<DiffusionGemmaTransformer> Fit(IReadOnlyList<torch.Device> devices)
        {
            FineTuneOptions options = TinyChat.Lora with { Devices = devices };
            if (!lora) options = options with { Lora = null, OutputFolder = folder.File($"full{devices.Count}") };
            return TinyChat.Preparation(_ml).Append(_ml.Transforms.DiffusionGemma.FineTune(TinyChat.Checkpoint, options, TinyChat.Quick))
                .Fit(data);
        }
        using TransformerChain<DiffusionGemmaTransformer> one = Fit([torch.CPU]), several = Fit(torch.Device.Cpu(ranks));
        (FineTuneSummary a, FineTuneSummary b) = (one.LastTransformer.Summary!, several.LastTransformer.Summary!);
        Assert.Equal(a.TrainedParameterCount, b.TrainedParameterCount);
        Assert.Equal(a.TrainedTensors, b.TrainedTensors);
        foreach ((StepRecord x, StepRecord y) in a.History.Zip(b.History)) Assert.Equal(x.Loss, y.Loss, 1e-3 * x.Loss);
        Assert.Equal(a.History.Count, b.History.Count);
        Assert.Equal(2 * b.History.Count, lines.Count(line => line.StartsWith("step ", StringComparison.Ordinal)));
        Assert.Contains(lines, line => line.StartsWith($"{ranks} ranks, experts split over", StringComparison.Ordinal));

        string[] answers = Views.Dump(several.Transform(data), "Response", "ResponseIds");
        _ml.Model.Save(several, data.Schema, folder.File("model.zip"));
        Assert.Equal(answers, Views.Dump(_ml.Model.Load(folder.File("model.zip"), out _).Transform(data), "Response", "ResponseIds"));
    }

    [Fact]
    public void A_cancelled_context_ends_all_ranks()
    {
        MethodInfo cancel = typeof(MLContext).GetMethod("CancelExecution", BindingFlags.Instance | BindingFlags.NonPublic)!;
        IDataView packed = TinyChat.Preparation(_ml).Fit(TinyChat.Questions(_ml, 6)).Transform(TinyChat.Questions(_ml, 6));
        int steps = 0;
        _ml.Log += (_, line) =>
        {
            if (line.RawMessage.StartsWith("step ", StringComparison.Ordinal) && ++steps == 1) cancel.Invoke(_ml, null);
        };
        FineTuneOptions options = TinyChat.Lora with { Devices = torch.Device.Cpu(2), MaxSteps = 3 };
        Assert.ThrowsAny<OperationCanceledException>(() => _ml.Transforms.DiffusionGemma.FineTune(TinyChat.Checkpoint, options)
            .Fit(packed));
        Assert.Equal(1, steps);
    }
}
