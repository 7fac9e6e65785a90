using Microsoft.Data.Analysis;

namespace DiffusionGemma.FineTuning;

public sealed class HistoryTests
{
    [Fact]
    public void The_history_as_a_table_has_every_figure_of_every_step()
    {
        StepRecord[] history = [.. Enumerable.Range(0, 3).Select(i => new StepRecord
        {
            Step = i, Epoch = 0, Loss = 3 - i, DiffusionLoss = 2 - i, EncoderLoss = 1, GradientNorm = 0.5, LearningRate = 1e-3,
                Tokens = 100, Seconds = 0.5, PeakBytes = 1 << 20,
        })];
        DataFrame frame = history.ToDataFrame();
        Assert.Equal((3, 12), (frame.Rows.Count, frame.Columns.Count));
        Assert.Equal(typeof(StepRecord).GetProperties().Select(property => property.Name).Order(),
            frame.Columns.Select(column => column.Name).Order());
        foreach (var property in typeof(StepRecord).GetProperties())
            Assert.Equal(history.Select(property.GetValue), frame[property.Name].Cast<object?>());
    }
}
