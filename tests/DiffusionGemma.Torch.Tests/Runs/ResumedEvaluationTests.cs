using static TorchSharp.torch;

namespace DiffusionGemma;

/// <summary>A resumed run has the evaluations, the best weights and the end of one that was never stopped.</summary>
public class ResumedEvaluationTests : TorchTest
{
    private static readonly EvaluationOptions HeldOut =
        new() { Examples = TinyRows.Make(6, seed: 9), EverySteps = 2, KeepBest = true, Patience = 3 };

    /// <summary>
    /// A rate this high soon makes things worse: the best weights are of an early step, and the run ends before its last.
    /// </summary>
    [Theory]
    [InlineData(true, 3, 5, 6)]                                                                 // 5: right before an evaluation
    [InlineData(false, 6)]
    public void Stopped_anywhere_the_end_is_the_same(bool lora, params int[] stops)
    {
        Outcome whole = Train(lora, null), other;
        Assert.Equal(RunEnd.StoppedEarly, whole.End);
        Assert.InRange(whole.Losses.Length, stops.Max() + 2, 59);
        foreach (int stop in stops)
        {
            using TemporaryFolder folder = Fixtures.Temporary();
            RunCheckpointOptions checkpoints = new() { Folder = folder.Path, EverySteps = 1000 };
            using var cancel = new CancellationTokenSource();
            Assert.ThrowsAny<OperationCanceledException>(() => Train(lora, checkpoints, cancel, stop));
            checkpoints = checkpoints with { Resume = RunCheckpointOptions.Latest };
            for (int run = 0; run < 2; run++)                                                   // the second finds the run over
            {
                other = Train(lora, checkpoints);
                Assert.Equal(whole.Losses, other.Losses);
                Assert.Equal(whole.Evaluations, other.Evaluations);
                Assert.Equal(whole.End, other.End);
                foreach ((string name, Tensor value) in whole.Weights) Assert.Equal(0, Largest(other.Weights[name], value));
            }
        }
    }

    [Fact]
    public void Other_held_out_rows_are_refused_or_accepted_by_name()
    {
        using TemporaryFolder folder = Fixtures.Temporary();
        RunCheckpointOptions checkpoints = new() { Folder = folder.Path, EverySteps = 4 };
        FineTuneOptions options =
            TinyRows.Options with { Lora = new LoraOptions(), Evaluation = HeldOut with { Patience = null }, Checkpoints = checkpoints };
        FineTuneResult Run(FineTuneOptions options)
        {
            using DiffusionGemmaModel model = Load();
            FineTuneResult result = FineTuner.Fit(model, TinyRows.Make(24), options);
            model.Adapter = null;
            return result;
        }
        using (FineTuneResult first = Run(options)) Assert.Empty(first.Notices);                 // every checkpoint was written
        FineTuneOptions changed = options with
        {
            Evaluation = options.Evaluation with { Examples = TinyRows.Make(6, seed: 8) },
            Checkpoints = checkpoints with { Resume = "step-000008" }
        };
        Assert.Contains("Evaluation was 6 rows (", Assert.Throws<TrainingException>(() => Run(changed)).Message, StringComparison.Ordinal);
        using FineTuneResult accepted = Run(changed with { Checkpoints = changed.Checkpoints with { AcceptChanged = ["Evaluation"] } });
        Assert.Equal([2, 4, 6, 8, 10], accepted.Evaluations.Select(e => e.Step));
    }

    private static DiffusionGemmaModel Load() =>
        DiffusionGemmaModel.Load(Fixtures.Checkpoint("tiny-2layer"), TestDevice.Current, ScalarType.Float32);

    private static Outcome Train(bool lora, RunCheckpointOptions? checkpoints, CancellationTokenSource? cancel = null, int stop = -1)
    {
        using DiffusionGemmaModel model = Load();
        FineTuneOptions options = TinyRows.Options with
        {
            Lora = lora ? new LoraOptions() : null,
            LearningRate = lora ? 0.3 : 0.05,
            MaxSteps = 60,
            Evaluation = HeldOut,
            Checkpoints = checkpoints
        };
        var progress = new ImmediateProgress<StepRecord>(record =>
        {
            if (record.Step == stop) cancel!.Cancel();
        });
        using FineTuneResult result = FineTuner.Fit(model, TinyRows.Make(24), options, progress, cancel?.Token ?? default);
        var weights = (lora ? result.Adapter!.Parameters() : model.Stack.Parameters).ToDictionary(p => p.Key, p => p.Value.clone());
        model.Adapter = null;
        return new Outcome([.. result.History.Select(h => h.Loss)],
            [.. result.Evaluations.Select(e => (e.Step, e.DiffusionLoss, e.EncoderLoss))], result.End, weights);
    }

    private sealed record Outcome(double[] Losses, (int, double, double)[] Evaluations, RunEnd End, Dictionary<string, Tensor> Weights);
}
