using System.Diagnostics;
using static TorchSharp.torch;

namespace DiffusionGemma;

[Collection(Alone.Name)]
public class CanvasGeneratorAloneTests : TorchTest
{
    [Fact]
    public void Collections_on_another_thread_change_no_decision()
    {
        static (string Answers, string Entropies) Run()
        {
            using var model = DiffusionGemmaModel.Load(Fixtures.Checkpoint("tiny-2layer"), TestDevice.Current, ScalarType.Float32);
            var entropies = new List<double>();
            var drafts = new ImmediateProgress<DenoisingStep>(d => entropies.Add(d.MeanEntropy));
            var options = new GenerationOptions { EosTokenIds = [], MaxNewTokens = 24, MaxDenoisingSteps = 8, ConfidenceThreshold = -1 };
            IReadOnlyList<GenerationResult> results = CanvasGenerator.Generate(model, [[2, 30, 31], [2, 40]], options, drafts: drafts);
            return (
                string.Join(';', results.Select(r => string.Join(' ', r.Ids))),
                string.Join(' ', entropies.Select(e => e.ToString("R", System.Globalization.CultureInfo.InvariantCulture))));
        }
        (string, string) undisturbed = Run();
        using var collecting = new CollectingThread();
        var clock = Stopwatch.StartNew();
        do Assert.Equal(undisturbed, Run());
        while (clock.Elapsed < TimeSpan.FromSeconds(2) || collecting.Collections < 30);
    }

    [Fact]
    public void Runs_leave_no_tensor_behind()
    {
        using var model = DiffusionGemmaModel.Load(Fixtures.Checkpoint("tiny-2layer"), TestDevice.Current, ScalarType.Float32);
        using LoraAdapter adapter = LoraAdapter.Load(Fixtures.Path("written", "adapter"), model);
        model.Adapter = adapter;
        void Run() =>
            CanvasGenerator.Generate(model, [[2, 30, 31], [2, 40]], new GenerationOptions { EosTokenIds = [], MaxDenoisingSteps = 3 });
        Run();
        long before = Alone.SettledTensors();
        for (int n = 0; n < 8; n++) Run();
        Alone.AssertNoMoreTensorsThan(before);

        // A run that fails leaves nothing either.
        using var cancelled = new CancellationTokenSource();
        cancelled.Cancel();
        for (int n = 0; n < 3; n++)
            Assert.Throws<OperationCanceledException>(() => CanvasGenerator.Generate(model, [[2, 30]], cancellation: cancelled.Token));
        Alone.AssertNoMoreTensorsThan(before);
    }
}
