using static TorchSharp.torch;

namespace DiffusionGemma;

public class RunHistoryTests : TorchTest
{
    [Fact]
    public async Task Another_thread_reads_it_while_the_run_goes_on()
    {
        using DiffusionGemmaModel model = Load();
        var history = new RunHistory();
        var seen = new List<int>();
        using var over = new CancellationTokenSource();
        Task reader = Task.Run(() =>
        {
            while (!over.IsCancellationRequested)
            {
                StepRecord[] steps = [.. history];
                Assert.Equal(Enumerable.Range(0, steps.Length), steps.Select(s => s.Step));
                Assert.True(history.Count >= steps.Length);
                if (seen.Count == 0 || seen[^1] != steps.Length) seen.Add(steps.Length);
            }
        });
        var heldOut = new EvaluationOptions { Examples = TinyRows.Make(4, seed: 9), EverySteps = 10 };
        FineTuneOptions options =
            TinyRows.Options with { Lora = new LoraOptions(), MaxSteps = 30, History = history, Evaluation = heldOut };
        using FineTuneResult result = FineTuner.Fit(model, TinyRows.Make(24), options);
        over.Cancel();
        await reader;
        Assert.True(seen.Count > 5, string.Join(",", seen));                                    // it did read while the run went on
        Assert.Equal(result.History, history);
        Assert.Equal([10, 20, 30], history.Evaluations.Select(e => e.Step));
        model.Adapter = null;

        using FineTuneResult next = FineTuner.Fit(model, TinyRows.Make(24), options with { MaxSteps = 3, Evaluation = null });
        Assert.Equal(3, history.Count);
        Assert.Empty(history.Evaluations);
        Assert.Equal(30, result.History.Count);                                                 // a result keeps its own
        model.Adapter = null;
    }

    private static DiffusionGemmaModel Load() =>
        DiffusionGemmaModel.Load(Fixtures.Checkpoint("tiny-2layer"), TestDevice.Current, ScalarType.Float32);
}
