using static TorchSharp.torch;

namespace DiffusionGemma;

public class EvaluationTests : TorchTest
{
    private static readonly IReadOnlyList<TrainingExample> HeldOut = TinyRows.Make(6, seed: 9);

    [Fact]
    public void Losses_are_those_of_the_rows_decoded_one_by_one()
    {
        using DiffusionGemmaModel model = Load();
        EvaluationRecord record = FineTuner.Evaluate(model, HeldOut), again = FineTuner.Evaluate(model, HeldOut);
        Assert.Equal(record.DiffusionLossByNoise, again.DiffusionLossByNoise);
        Assert.NotEqual(record.DiffusionLossByNoise, FineTuner.Evaluate(model, HeldOut, seed: 5).DiffusionLossByNoise);
        Assert.Equal(record.DiffusionLossByNoise.Average(), record.DiffusionLoss, 12);

        double nats = 0;
        long pairs = 0;
        foreach (TrainingExample row in HeldOut)
        {
            Tensor ids = tensor(Array.ConvertAll(row.InputIds, id => (long)id)).unsqueeze(0);
            using EncoderCache cache = model.Encode(ids);
            Tensor logits = model.Logits(cache.LastHiddenState)[0].narrow(0, 0, row.InputIds.Length - 1);
            nats += nn.functional.cross_entropy(logits, ids[0].narrow(0, 1, row.InputIds.Length - 1), reduction: nn.Reduction.Sum)
                .item<double>();
            pairs += row.InputIds.Length - 1;
        }
        Assert.Equal(nats / pairs, record.EncoderLoss, 1e-9);
    }

    [Fact]
    public void Training_lowers_the_loss_and_does_not_see_the_rows()
    {
        using DiffusionGemmaModel model = Load();
        double before = FineTuner.Evaluate(model, HeldOut).DiffusionLoss;
        FineTuneOptions options = TinyRows.Options with
        {
            Lora = new LoraOptions(),
            MaxSteps = 20,
            Evaluation = new EvaluationOptions { Examples = HeldOut, EverySteps = 8 }
        };
        using FineTuneResult with = FineTuner.Fit(model, TinyRows.Make(24), options);
        Assert.Equal([8, 16, 20], with.Evaluations.Select(e => e.Step));
        Assert.True(with.Evaluations[^1].DiffusionLoss < before);
        Assert.Equal(FineTuner.Evaluate(model, HeldOut).DiffusionLoss, with.Evaluations[^1].DiffusionLoss);
        model.Adapter = null;

        using DiffusionGemmaModel other = Load();
        using FineTuneResult without = FineTuner.Fit(other, TinyRows.Make(24), options with { Evaluation = null });
        Assert.Equal(without.History.Select(h => h.Loss), with.History.Select(h => h.Loss));
        other.Adapter = null;
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void The_best_weights_come_back_and_a_run_that_no_longer_learns_ends(bool lora)
    {
        using DiffusionGemmaModel model = Load();
        // A rate this high soon makes things worse.
        FineTuneOptions options = TinyRows.Options with
        {
            Lora = lora ? new LoraOptions() : null,
            LearningRate = lora ? 0.3 : 0.05,
            MaxSteps = 60,
            Evaluation = new EvaluationOptions { Examples = HeldOut, EverySteps = 2, KeepBest = true, Patience = 3 },
        };
        using FineTuneResult result = FineTuner.Fit(model, TinyRows.Make(24), options);
        Assert.Equal(RunEnd.StoppedEarly, result.End);
        Assert.True(result.History.Count < 60);
        EvaluationRecord best = result.Evaluations.MinBy(e => e.DiffusionLoss)!;
        Assert.Equal(result.Evaluations.Count - 4, result.Evaluations.ToList().IndexOf(best));
        Assert.Equal(best.DiffusionLoss, FineTuner.Evaluate(model, HeldOut).DiffusionLoss);
        model.Adapter = null;
    }

    [Fact]
    public void A_bad_held_out_row_is_named()
    {
        using DiffusionGemmaModel model = Load();
        TrainingExample bad = HeldOut[0] with { PrefixLength = 99 };
        var error = Assert.Throws<TrainingException>(() => FineTuner.Fit(
            model, TinyRows.Make(8), TinyRows.Options with { Evaluation = new EvaluationOptions { Examples = [HeldOut[1], bad] } }));
        Assert.Contains("Evaluation.Examples: Row 1", error.Message, StringComparison.Ordinal);
    }

    private static DiffusionGemmaModel Load() => DiffusionGemmaModel.Load(Fixtures.Checkpoint("tiny-2layer"), dtype: ScalarType.Float64);
}
