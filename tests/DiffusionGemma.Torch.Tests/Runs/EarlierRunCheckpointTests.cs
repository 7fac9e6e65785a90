using System.Text.Json;

namespace DiffusionGemma;

/// <summary>
/// Resumes run checkpoints that an earlier version wrote (tests/fixtures/runs, after 6 of 10 steps; commit 5078f2e): the names inside them
/// stay, and the run ends as it would have ended then. Another processor or kernel set rounds otherwise, hence a tolerance; at the first
/// resumed step a lost moment, draw or option would show in the third digit.
/// </summary>
public class EarlierRunCheckpointTests : TorchTest
{
    private const int StepsBefore = 6;
    private const double Tolerance = 1e-4;

    [Fact]
    public void A_low_rank_run() => Resume("lora", Fixtures.Checkpoint("tiny-2layer"), new FineTuneOptions
    {
        Lora = new LoraOptions
        {
            Rank = 2, Alpha = 8, Experts = true, ExpertRank = 1, SelfConditioning = true, Dropout = 0.1, RankStabilized = true,
            Initialization = LoraInitialization.XavierNormal,
        },
        GlobalBatchSize = 4, Run = new() { MicroBatchSize = 2 }, MaxSteps = 10, Epochs = 10, WarmupSteps = 2, LearningRate = 3e-3,
        Optimizer =
        new() { InitialLearningRate = 1e-4, MinLearningRate = 1e-5, Decay = LearningRateDecay.WarmupStableDecay, DecayFraction = 0.3 },
        Seed = 7, Objective = new() { EncoderLossWeight = 0.5, SelfConditioningProbability = 0.75, NoiseFloor = 0.01 },
    });

    [Fact]
    public void A_full_run() => Resume("full", Fixtures.Path("runs", "base"), new FineTuneOptions
    {
        GlobalBatchSize = 4, Run = new() { MicroBatchSize = 4, MicroBatchTokens = 60, Shuffle = false, ActivationCheckpointing = true },
        MaxSteps = 10, Epochs = 10, WarmupSteps = 0, LearningRate = 1e-2,
        Optimizer = new() { MinLearningRate = 0, Beta1 = 0.9, Beta2 = 0.95, AdamEpsilon = 1e-7, WeightDecay = 0.01, MaxGradientNorm = 0.5 },
    });

    private static void Resume(string run, string checkpoint, FineTuneOptions options)
    {
        using TemporaryFolder folder = Fixtures.Temporary();
        string step = $"step-{StepsBefore:D6}", from = Fixtures.Path("runs", run);
        Directory.CreateDirectory(folder.File(step));
        foreach (string file in Directory.EnumerateFiles(Path.Combine(from, step)))
            File.Copy(file, Path.Combine(folder.Path, step, Path.GetFileName(file)));
        var expected = JsonSerializer.Deserialize<Expected>(File.ReadAllText(Path.Combine(from, "expected.json")))!;

        using DiffusionGemmaModel model = DiffusionGemmaModel.Load(checkpoint);
        using FineTuneResult result = FineTuner.Fit(model, TinyRows.Make(24), options with
        {
            Checkpoints = new RunCheckpointOptions { Folder = folder.Path, EverySteps = 6, Keep = 3, Resume = RunCheckpointOptions.Latest },
            Evaluation = new EvaluationOptions { Examples = TinyRows.Make(3, seed: 2), EverySteps = 3, KeepBest = true, Patience = 9 },
        });
        model.Adapter = null;
        AssertClose(expected.Losses, [.. result.History.Select(r => r.Loss)]);
        AssertClose(expected.Norms, [.. result.History.Select(r => r.GradientNorm)]);
        AssertClose(expected.HeldOut, [.. result.Evaluations.Select(e => e.DiffusionLoss)]);
        Assert.Equal(expected.Losses[..StepsBefore], result.History.Take(StepsBefore).Select(r => r.Loss));   // read, not trained again
        TestContext.Current.TestOutputHelper?.WriteLine(
            $"largest relative difference {expected.Losses.Zip(result.History, (e, r) => Math.Abs(r.Loss / e - 1)).Max():E1}");
    }

    private static void AssertClose(double[] expected, double[] got)
    {
        Assert.Equal(expected.Length, got.Length);
        Assert.All(expected.Zip(got), pair => Assert.InRange(pair.Second, pair.First * (1 - Tolerance), pair.First * (1 + Tolerance)));
    }

    private sealed record Expected(double[] Losses, double[] Norms, double[] HeldOut);
}
