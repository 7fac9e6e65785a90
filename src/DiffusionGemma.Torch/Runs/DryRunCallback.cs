using System.Runtime.InteropServices;
using static TorchSharp.torch;

namespace DiffusionGemma;

/// <summary>
/// Before the first step, runs both passes over the longest row and those that would go with it, and over the micro-batch with the most
/// padded tokens, on every rank: the most memory that a step will ask for. The gradients are discarded.
/// </summary>
/// <param name="examples">The rows.</param>
/// <param name="lengths">Tokens of each row.</param>
/// <param name="options">How to train.</param>
/// <param name="ranks">The ranks that train together.</param>
/// <param name="batches">Draws of the rows.</param>
/// <param name="step">Runs the passes.</param>
/// <param name="optimizer">Holds the gradients.</param>
/// <param name="cancellation">Checked before each pass.</param>
internal sealed class DryRunCallback(
    IReadOnlyList<TrainingExample> examples, int[] lengths, FineTuneOptions options, RankGroups ranks, GlobalBatches batches,
    TrainingStep step,
    AdamW optimizer, CancellationToken cancellation) : IRunCallback
{
    private bool _isDone;

    public void BeforeStep(RunProgress run)
    {
        if (_isDone || run.IsOver) return;
        _isDone = true;
        int mostRows = Math.Min(options.Run.MicroBatchSize, (options.GlobalBatchSize + ranks.World.Size - 1) / ranks.World.Size);
        IReadOnlyList<int[]> microBatches = MicroBatchPlan.Split(lengths, mostRows, options.Run.MicroBatchTokens);
        int[][] largest = [microBatches.MaxBy(LongestRow)!, microBatches.MaxBy(rows => (long)rows.Length * LongestRow(rows))!];
        foreach (int[] rows in largest.Distinct()) Try(rows);
        optimizer.DropGradients();
    }

    private int LongestRow(int[] rows) => rows.Max(row => lengths[row]);

    private void Try(int[] rows)
    {
        try
        {
            using var scope = NewDisposeScope();
            TrainingExample[] batch = [.. rows.Select(row => examples[row])];
            bool firstPass = options.Objective.SelfConditioningProbability > 0;
            ExampleDraw[] draws =
                [.. batch.Select((example, index) => batches.Draw(0, index, example) with { Block = 0, SelfConditioned = firstPass })];
            step.RunEverywhere(new PreparedStep(0, 0, rows, batch, draws), cancellation);
        }
        catch (ExternalException e)
        {
            throw new TrainingException(
                $"A pass over {rows.Length} rows of at most {LongestRow(rows)} tokens failed before step 0: {e.Message.Split('\n')[0]} "
                + "If memory ran out, lower FineTuneOptions.Run.MicroBatchSize or PackCanvas' maxLength, or use LoRA.", e)
            {
                Option = "FineTuneOptions.Run.MicroBatchSize",
            };
        }
    }
}
