using DiffusionGemma.FineTuning;
using Microsoft.Data.Analysis;
using Microsoft.ML;
using Microsoft.ML.Data;

namespace DiffusionGemma.Data;

public sealed class DataFrameTests
{
    private readonly MLContext _ml = new(seed: 1);

    [Fact]
    public void Questions_and_answers()
    {
        var frame = new DataFrame(new StringDataFrameColumn("q", ["2+2?", "é"]), new StringDataFrameColumn("a", ["4", ""]),
            new Int32DataFrameColumn("id", [1, 2]));
        IDataView view = _ml.Data.LoadChatFromDataFrame(frame,
            new ChatDataOptions { QuestionColumn = "q", AnswerColumn = "a", OutputColumn = "Chat" });
        Assert.Equal(2, view.GetRowCount());
        Assert.Equal(
            ["""[{"role":"user","content":"2+2?"},{"role":"assistant","content":"4"}]""",
                """[{"role":"user","content":"é"},{"role":"assistant","content":""}]"""],
            view.GetColumn<string>("Chat"));
    }

    [Fact]
    public void Messages_with_tools_and_template_columns()
    {
        var frame = new DataFrame(
            new StringDataFrameColumn("messages", ["""[{"role":"user","content":"a"}]""", """[{"role":"user","content":"b"}]"""]),
            new StringDataFrameColumn("tools", ["""[{"name":"f","weight":1.0}]""", null]),
            new BooleanDataFrameColumn("enable_thinking", [true, null]),
            new DoubleDataFrameColumn("temperature", [1, 2.5]),
            new Int64DataFrameColumn("id", [7, 8]));
        Assert.Equal(
            [
                """{"messages":[{"role":"user","content":"a"}],"tools":[{"name":"f","weight":1.0}],"enable_thinking":true"""
                    + ""","temperature":1.0}""",
                """{"messages":[{"role":"user","content":"b"}],"temperature":2.5}""",
            ],
            _ml.Data.LoadChatFromDataFrame(frame, new ChatDataOptions { TemplateColumns = ["enable_thinking", "temperature"] })
                .GetColumn<string>("Messages"));
    }

    [Fact]
    public void A_frame_of_a_loaded_view_is_the_view_again()
    {
        IDataView view = _ml.Data.LoadChatFromJsonLines(ExpectedData.Path("messages_extra_columns.jsonl"));
        Assert.Equal(view.GetColumn<string>("Messages"), _ml.Data.LoadChatFromDataFrame(view.ToDataFrame(maxRows: -1))
            .GetColumn<string>("Messages"));
    }

    [Fact]
    public void Its_columns_are_checked_at_once()
    {
        var frame = new DataFrame(new StringDataFrameColumn("q", ["x"]), new Int32DataFrameColumn("messages", [1]),
            new DateTimeDataFrameColumn("date", [DateTime.UnixEpoch]));
        Assert.Contains("'messages' of the data frame must hold text, it holds Int32", Refused(new ChatDataOptions()));
        Assert.Contains("no column 'a'; it has 'q', 'messages', 'date'",
            Refused(new ChatDataOptions { QuestionColumn = "q", AnswerColumn = "a" }));
        Assert.Contains("'messages' of the data frame must hold text", Refused(new ChatDataOptions { QuestionColumn = "messages" }));
        Assert.Contains("'date' of the data frame must hold text, a number or a truth value, it holds DateTime",
            Refused(new ChatDataOptions { MessagesColumn = "q", TemplateColumns = ["date"] }));
        frame.Columns.Add(new StringDataFrameColumn("images", ["a.png"]));
        Assert.Contains("'images', and this library is text only", Refused(new ChatDataOptions { QuestionColumn = "q" }));

        string Refused(ChatDataOptions options) => Assert.Throws<ArgumentException>(() =>
            _ml.Data.LoadChatFromDataFrame(frame, options)).Message;
    }

    [Fact]
    public void A_bad_row_is_named()
    {
        var frame = new DataFrame(new StringDataFrameColumn("messages", ["""[{"role":"user","content":"x"}]""", null, "[]"]));
        Assert.Equal(1, Assert.Throws<ChatDataException>(() => _ml.Data.LoadChatFromDataFrame(frame).GetColumn<string>("Messages")
            .ToArray()).Row);
        IDataView view = _ml.Data.LoadChatFromDataFrame(frame, new ChatDataOptions { MaxErrors = 2 });
        Assert.Single(view.GetColumn<string>("Messages"));
        Assert.Equal([1L, 2L], view.GetSkippedChatRows().Select(error => error.Row));
    }

    [Fact]
    public void Scored_views_become_frames_with_their_vectors()
    {
        IDataView data = TinyChat.Questions(_ml, 5);
        DiffusionGemmaCatalog gemma = _ml.Transforms.DiffusionGemma;
        using var model = gemma.TokenizeChat(TinyChat.Checkpoint).Append(gemma.MaskResponse())
            .Append(gemma.Answer(TinyChat.Checkpoint, TinyChat.Quick)).Fit(data);
        IDataView scored = model.Transform(data);
        DataFrame frame = scored.ToDataFrame(maxRows: -1);
        Assert.Equal(5, frame.Rows.Count);
        Assert.Equal(scored.GetColumn<string>("Response"), frame.Columns["Response"].Cast<object>().Select(text => text.ToString()!));
        Assert.Equal(scored.GetColumn<int>("Steps"), frame.Columns["Steps"].Cast<int>());
        Assert.Equal(scored.GetColumn<int[]>("ResponseIds"),
            frame.Columns["ResponseIds"].Cast<VBuffer<int>>().Select(ids => ids.DenseValues().ToArray()));
        Assert.Equal(scored.GetColumn<bool[]>("LossMask"), frame.Columns["LossMask"].Cast<VBuffer<bool>>()
            .Select(mask => mask.DenseValues().ToArray()));
    }
}
