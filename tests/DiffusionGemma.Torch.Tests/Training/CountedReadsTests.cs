using static TorchSharp.torch;

namespace DiffusionGemma;

/// <summary>
/// Counts what the host reads of a device, each read a wait for it: one a training step, with the very code that a GPU runs. Everything
/// that reads goes through <see cref="IHostReads"/>; a test of the compiled code requires it.
/// </summary>
public class CountedReadsTests : TorchTest
{
    [Theory]
    [InlineData(true, false, 1)]
    [InlineData(true, true, 2)]                             // rows of different lengths, padded: activations are computed again
    [InlineData(false, false, 2)]
    [InlineData(false, true, 1)]
    public void A_training_step_on_one_device_reads_once(bool lora, bool checkpointing, int microBatch)
    {
        var fixture = new TrainingFixture("tiny-6layer");
        FineTuneOptions options = fixture.Options with
        {
            Run = fixture.Options.Run with { ActivationCheckpointing = checkpointing, MicroBatchSize = microBatch, DryRun = false },
            Parallel = fixture.Options.Parallel with { Workers = 1 },
            MaxSteps = 3,
            WarmupSteps = 1,
            Lora = lora ? new LoraOptions { Experts = true, SelfConditioning = true } : null,
        };
        (StepRecord[] onHost, int many) = Train(countsOnDevice: false);
        (StepRecord[] onDevice, int few) = Train(countsOnDevice: true);

        Assert.Equal(options.MaxSteps, few);
        Assert.True(many > 20 * few, $"{many} reads with counts on the host");
        foreach ((StepRecord plain, StepRecord same) in onHost.Zip(onDevice))
        {
            Assert.Equal(plain.Loss, same.Loss, Tolerances.Losses * plain.Loss);
            Assert.Equal(plain.GradientNorm, same.GradientNorm, Tolerances.Losses * plain.GradientNorm);
        }

        (StepRecord[] History, int Reads) Train(bool countsOnDevice)
        {
            using Checkpoint checkpoint = Checkpoint.Open(Fixtures.Checkpoint(fixture.CheckpointName));
            var reads = new CountingReads(TestDevice.Current);
            using DiffusionGemmaModel model = DiffusionGemmaModel.LoadShare(
                checkpoint, TestDevice.Current, ScalarType.Float32, new SingleRank(), reads: reads, countsOnDevice: countsOnDevice);
            using FineTuneResult result = FineTuner.Fit(model, fixture.Examples, options);
            model.Adapter = null;
            return ([.. result.History], reads.Count);
        }
    }

    /// <summary>Losses at ten noise levels, of each example: one read for all.</summary>
    [Fact]
    public void An_evaluation_reads_once()
    {
        using Checkpoint checkpoint = Checkpoint.Open(Fixtures.Checkpoint("tiny-2layer"));
        var reads = new CountingReads(CPU);
        using DiffusionGemmaModel model = DiffusionGemmaModel.LoadShare(
            checkpoint, CPU, ScalarType.Float32, new SingleRank(), reads: reads, countsOnDevice: true);
        using var ranks = RankGroups.Single(CPU);
        EvaluationRecord record = HeldOutEvaluation.Run(model, TinyRows.Make(3), 1, 0, ranks, CancellationToken.None);
        Assert.InRange(record.DiffusionLoss, 1, 10);
        Assert.Equal(1, reads.Count);
    }
}
