using Microsoft.Data.Analysis;

namespace DiffusionGemma;

/// <summary>A run's history as a table.</summary>
public static class HistoryExtensions
{
    /// <summary>One row a step, one column for each figure of <see cref="StepRecord"/> under its name.</summary>
    /// <param name="history">The records of a run.</param>
    public static DataFrame ToDataFrame(this IEnumerable<StepRecord> history)
    {
        ArgumentNullException.ThrowIfNull(history);
        StepRecord[] steps = [.. history];
        return new DataFrame(
            Column(nameof(StepRecord.Step), step => step.Step),
            Column(nameof(StepRecord.Epoch), step => step.Epoch),
            Column(nameof(StepRecord.Loss), step => step.Loss),
            Column(nameof(StepRecord.DiffusionLoss), step => step.DiffusionLoss),
            Column(nameof(StepRecord.EncoderLoss), step => step.EncoderLoss),
            Column(nameof(StepRecord.GradientNorm), step => step.GradientNorm),
            Column(nameof(StepRecord.LearningRate), step => step.LearningRate),
            Column(nameof(StepRecord.Tokens), step => step.Tokens),
            Column(nameof(StepRecord.Seconds), step => step.Seconds),
            Column(nameof(StepRecord.WaitSeconds), step => step.WaitSeconds),
            Column(nameof(StepRecord.TokensPerSecond), step => step.TokensPerSecond),
            Column(nameof(StepRecord.PeakBytes), step => step.PeakBytes));

        PrimitiveDataFrameColumn<T> Column<T>(string name, Func<StepRecord, T> value)
            where T : unmanaged => new(name, steps.Select(value));
    }
}
