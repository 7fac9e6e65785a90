using CsCheck;
using DiffusionGemma.FineTuning;
using Microsoft.ML;
using Microsoft.ML.Data;

namespace DiffusionGemma.Inspection;

public sealed class ChatDataSummaryTests
{
    private readonly MLContext _ml = new(seed: 1);

    [Fact]
    public void Rows_are_counted_by_what_training_would_make_of_them()
    {
        string[] rows =
        [
            """[{"role":"user","content":"What is 1 plus 1?"},{"role":"assistant","content":"2"}]""",
            """[{"role":"user","content":"What is 1 plus 2?"}]""",
            $$"""[{"role":"user","content":"{{new string('x', 300)}}"},{"role":"assistant","content":"2"}]""",
            $$"""[{"role":"user","content":"What is 1 plus 3?"},{"role":"assistant","content":"{{new string('4', 300)}}"}]""",
        ];
        IDataView data = _ml.Data.LoadChatFromEnumerable(rows);
        ChatDataSummary summary = _ml.Transforms.DiffusionGemma.Summarize(TinyChat.Checkpoint, data, maxLength: 100);
        IDataView packed = TinyChat.Preparation(_ml, maxLength: 100).Fit(data).Transform(data);
        int[] canvases = [.. packed.GetColumn<int>("CanvasCount")];
        Assert.Equal((4, canvases.Count(count => count > 0)), (summary.Rows, summary.TrainedRows));
        Assert.Equal((1, 1, 1), (summary.UnansweredRows, summary.LostRows, summary.CutRows));
        Assert.Equal(packed.GetColumn<int>("CutTokens").Sum(), summary.CutTokens);
        Assert.Equal(packed.GetColumn<bool[]>("LossMask").Sum(mask => mask.Count(on => on)), summary.SupervisedTokens);
        Assert.Equal(canvases.Where(count => count > 0).Order(),
            summary.Canvases.Rows.SelectMany(item => Enumerable.Repeat(item.Key, item.Value)));
        IDataView tokens = _ml.Transforms.DiffusionGemma.TokenizeChat(TinyChat.Checkpoint).Fit(data).Transform(data);
        Assert.Equal(tokens.GetColumn<int[]>("InputIds").Select(ids => ids.Length).Order(),
            summary.Lengths.Rows.SelectMany(item => Enumerable.Repeat(item.Key, item.Value)));
        Assert.StartsWith($"4 rows: {summary.TrainedRows} to train on, 1 of them cut short at 100 tokens; left out: 1 without an answer, "
            + "1 that lose all of it to the cut", summary.ToString());
    }

    [Fact]
    public void No_rows_are_no_error()
    {
        ChatDataSummary summary = _ml.Transforms.DiffusionGemma.Summarize(TinyChat.Checkpoint,
            _ml.Data.LoadChatFromEnumerable(Array.Empty<string>()));
        Assert.Equal((0, 0, 0), (summary.Rows, summary.Lengths.Max, summary.Canvases.Quantile(0.5)));
        Assert.StartsWith("0 rows", summary.ToString());
    }

    [Fact]
    public void A_bad_row_is_named() => Assert.Equal(1, Assert.Throws<ChatDataException>(() =>
        _ml.Transforms.DiffusionGemma.Summarize(TinyChat.Checkpoint, _ml.Data.LoadChatFromEnumerable([TinyChat.Row("x"), "[]"]))).Row);

    [Fact]
    public void A_histogram_holds_every_value_once() => Gen.Select(Gen.Int[0, 300].Array[0, 60], Gen.Int[1, 40]).Check(200, sample =>
    {
        (int[] values, int width) = sample;
        var histogram = new RowHistogram();
        foreach (int value in values) histogram.Add(value);
        Assert.Equal((values.Length, values.Sum()), (histogram.Count, (int)histogram.Sum));
        var ranges = histogram.Ranges(width);
        Assert.Equal(values.Length, ranges.Sum(range => range.Rows));
        Assert.All(ranges, range => Assert.Equal(values.Count(value => value >= range.From && value <= range.To), range.Rows));
        if (values.Length == 0) return;
        int[] sorted = [.. values.Order()];
        Assert.Equal((sorted[0], sorted[^1]), (histogram.Min, histogram.Max));
        Assert.Equal((sorted[0], sorted[(values.Length - 1) / 2], sorted[^1]),
            (histogram.Quantile(0), histogram.Quantile(0.5), histogram.Quantile(1)));
    });
}
