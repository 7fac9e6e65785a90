using System.Collections;
using System.Diagnostics;
using static TorchSharp.torch;

namespace DiffusionGemma;

/// <summary>The work of a run around its steps.</summary>
public class TrainingRunTests : TorchTest
{
    private readonly DiffusionGemmaModel _model =
        DiffusionGemmaModel.Load(Fixtures.Checkpoint("tiny-2layer"), TestDevice.Current, ScalarType.Float32);

    /// <summary>
    /// Rows are drawn two steps ahead on a thread of their own. A busy machine may hold that thread up, but not in every run.
    /// </summary>
    [Fact]
    public void A_step_does_not_wait_for_its_rows() =>
        Assert.Contains(Enumerable.Range(0, 5), _ =>
        {
            using FineTuneResult result = FineTuner.Fit(_model, TinyRows.Make(40), TinyRows.Options with { MaxSteps = 60 });
            return result.History.Count(h => h.WaitSeconds == 0) >= 55;
        });

    [Fact]
    public void The_producer_is_ahead_by_what_its_channel_holds_and_no_more()
    {
        int made = 0;
        using var producer = new StepProducer(5, 100, step =>
        {
            Interlocked.Increment(ref made);
            return new PreparedStep(step, 0, [], [], []);
        });
        // two in the channel, one in hand
        Assert.True(SpinWait.SpinUntil(() => Volatile.Read(ref made) == 3, TimeSpan.FromMinutes(5)));
        Thread.Sleep(50);
        Assert.Equal(3, Volatile.Read(ref made));
        for (int step = 5; step < 8; step++)
        {
            (PreparedStep prepared, TimeSpan waited) = producer.Next();
            Assert.Equal(step, prepared.Step);
            if (step < 7) Assert.Equal(TimeSpan.Zero, waited);
        }
    }

    [Fact]
    public void A_step_that_waits_says_so_and_an_error_of_the_producer_comes_out()
    {
        Thread trainer = Thread.CurrentThread;
        bool asked = false;
        using var producer = new StepProducer(0, 3, step =>
        {
            SpinWait.SpinUntil(
                () => Volatile.Read(ref asked) && trainer.ThreadState.HasFlag(System.Threading.ThreadState.WaitSleepJoin),
                TimeSpan.FromMinutes(5));
            Thread.Sleep(50);
            return step < 1 ? new PreparedStep(step, 0, [], [], []) : throw new InvalidDataException("row 7");
        });
        var clock = Stopwatch.StartNew();
        Volatile.Write(ref asked, true);
        TimeSpan waited = producer.Next().Waited;
        Assert.InRange(waited, TimeSpan.FromMilliseconds(10), clock.Elapsed);
        Assert.Contains("row 7", Assert.ThrowsAny<Exception>(() => producer.Next()).ToString(), StringComparison.Ordinal);
    }

    /// <summary>The dry run reads the longest row once more; its gradients leave no trace.</summary>
    [Fact]
    public void The_longest_row_is_tried_before_the_first_step()
    {
        List<TrainingExample> rows = [.. TinyRows.Make(30).Where(r => r.InputIds.Length < 26)];
        int longest = rows.Count;
        rows.Add(
            CanvasPacking.Pack(
                [.. Enumerable.Range(10, 26)], [false, false, .. Enumerable.Repeat(true, 24)], TinyRows.Canvas, 26, eosId: 1)!);
        (int[] Reads, double[] Losses) Run(bool dry)
        {
            var watched = new Watched(rows);
            using var model = DiffusionGemmaModel.Load(Fixtures.Checkpoint("tiny-2layer"), TestDevice.Current, ScalarType.Float32);
            using FineTuneResult result = FineTuner.Fit(model, watched,
                TinyRows.Options with
                {
                    Lora = new LoraOptions(),
                    MaxSteps = 3,
                    Run = TinyRows.Options.Run with { Shuffle = false, DryRun = dry, MicroBatchSize = 1 }
                });
            model.Adapter = null;
            return (watched.Reads, [.. result.History.Select(h => h.Loss)]);
        }
        (int[] with, double[] losses) = Run(dry: true);
        (int[] without, double[] expected) = Run(dry: false);
        Assert.Equal(expected, losses);
        without[longest]++;
        Assert.Equal(without, with);
    }

    /// <summary>The token is looked at before each micro-batch.</summary>
    [Fact]
    public void A_run_is_cancelled_between_micro_batches()
    {
        Tensor[] trained = [.. _model.Stack.Parameters.Where(p => FullFineTuning.Trains(p.Key)).Select(p => p.Value.requires_grad_(true))];
        using var optimizer = new AdamW(trained, 0.9, 0.99, 1e-8, 0);
        using var cancel = new CancellationTokenSource();
        var rows = new Watched(TinyRows.Make(6), index =>
        {
            if (index == 2) cancel.Cancel();
        });
        ExampleDraw[] draws = [.. rows.Select((row, i) => ExampleDraws.Draw(42, 0, i, 6, row, TinyRows.Canvas, 128, 0.001, 0.5))];
        using var workers = new Workers(1);
        FineTuneOptions options = TinyRows.Options with { GlobalBatchSize = 6, Run = TinyRows.Options.Run with { MicroBatchSize = 1 } };
        var step = new TrainingStep(_model, [], options, steps: 1, seed: 42, RankGroups.Single(CPU), optimizer, workers);
        Assert.Throws<OperationCanceledException>(() =>
            step.Run(new PreparedStep(0, 0, [0, 1, 2, 3, 4, 5], rows, draws), TimeSpan.Zero, cancel.Token));
        Assert.Equal([1, 1, 1, 0, 0, 0], rows.Reads);
    }

    public override void Dispose()
    {
        _model.Dispose();
        base.Dispose();
    }

    /// <summary>Counts what is asked of each row by its index.</summary>
    private sealed class Watched(IReadOnlyList<TrainingExample> rows, Action<int>? on = null) : IReadOnlyList<TrainingExample>
    {
        public int[] Reads { get; } = new int[rows.Count];

        public int Count => rows.Count;

        public TrainingExample this[int index]
        {
            get
            {
                Interlocked.Increment(ref Reads[index]);
                on?.Invoke(index);
                return rows[index];
            }
        }

        public IEnumerator<TrainingExample> GetEnumerator() => rows.GetEnumerator();

        IEnumerator IEnumerable.GetEnumerator() => GetEnumerator();
    }
}
