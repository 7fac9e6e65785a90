namespace DiffusionGemma;

/// <summary>The global batches of a run: which rows each step trains on, and all that is random about them.</summary>
/// <param name="examples">The rows.</param>
/// <param name="options">How to train.</param>
/// <param name="config">The model's configuration.</param>
/// <param name="seed">The run's seed.</param>
internal sealed class GlobalBatches(
    IReadOnlyList<TrainingExample> examples, FineTuneOptions options, DiffusionGemmaConfig config, long seed)
{
    private readonly EpochOrder _order = new(examples.Count, options.GlobalBatchSize, seed, options.Run.Shuffle);

    /// <summary>The batch of a step. Called on one thread, step by step.</summary>
    public PreparedStep Prepare(int step)
    {
        (int epoch, IReadOnlyList<int> rows) = _order.Batch(step);
        TrainingExample[] batch;
        lock (examples) batch = [.. rows.Select(row => examples[row])];                          // ranks of this process read the same rows
        return new PreparedStep(step, epoch, rows, batch, [.. batch.Select((example, index) => Draw(step, index, example))]);
    }

    /// <summary>The draws of an example.</summary>
    /// <param name="step">Optimiser steps before this one.</param>
    /// <param name="index">The example's index in the global batch.</param>
    /// <param name="example">The row.</param>
    public ExampleDraw Draw(int step, int index, TrainingExample example) => ExampleDraws.Draw(
        seed, step, index, options.GlobalBatchSize, example, config.CanvasLength, config.VocabularySize, options.Objective.NoiseFloor,
        options.Objective.SelfConditioningProbability);
}
