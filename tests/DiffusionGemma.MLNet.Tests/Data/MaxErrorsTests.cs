using Microsoft.ML;
using Microsoft.ML.Data;
using Microsoft.ML.Runtime;

namespace DiffusionGemma.Data;

public sealed class MaxErrorsTests
{
    private const string Good = """[{"role":"user","content":"x"}]""";

    private readonly MLContext _ml = new(seed: 1);
    private readonly List<string> _warnings = [];

    public MaxErrorsTests() => _ml.Log += (_, message) =>
    {
        if (message.Kind == ChannelMessageKind.Warning)
            _warnings.Add(message.RawMessage);
    };

    [Fact]
    public void Bad_rows_are_left_out_counted_and_reported()
    {
        using TemporaryFolder folder = Fixtures.Temporary();
        string file = folder.File("rows.jsonl");
        File.WriteAllLines(file, [Good, "{", Good, "", "[]", Good]);
        IDataView view = _ml.Data.LoadChatFromJsonLines(new ChatDataOptions { MaxErrors = 2 }, file);
        Assert.Empty(view.GetSkippedChatRows());
        Assert.Equal([0ul, 2, 4], Ids(view));
        Assert.Equal([2L, 5L], view.GetSkippedChatRows().Select(error => error.Line));
        Assert.Equal(3, _warnings.Count);
        Assert.StartsWith($"row left out: {file}, line 2: the row is not valid JSON", _warnings[0]);
        Assert.Equal($"row left out: {file}, line 5: 'messages' is empty: a conversation has at least one message.", _warnings[1]);
        Assert.Equal("2 of 5 rows left out: no conversations", _warnings[2]);
        // Another pass leaves out the same, not more.
        Assert.Equal(3, Ids(view).Length);
        Assert.Equal(2, view.GetSkippedChatRows().Count);
    }

    [Fact]
    public void One_more_than_is_allowed_ends_the_pass()
    {
        IDataView view = _ml.Data.LoadChatFromEnumerable(new ChatDataOptions { MaxErrors = 2 },
            [Good, "{", null!, Good, "\"\ud83d\"", Good]);
        var error = Assert.Throws<ChatDataException>(() => Ids(view));
        Assert.Equal(4, error.Row);
        Assert.EndsWith("(2 bad rows left out before it, and MaxErrors allows no more)", error.Message);
        Assert.Equal([1L, 2L], view.GetSkippedChatRows().Select(skipped => skipped.Row));
    }

    [Fact]
    public void By_default_the_first_ends_it()
    {
        var error = Assert.Throws<ChatDataException>(() => Ids(_ml.Data.LoadChatFromEnumerable([Good, "{"])));
        Assert.Equal(1, error.Row);
        Assert.DoesNotContain("MaxErrors", error.Message);
        Assert.Empty(_warnings);
    }

    [Fact]
    public void How_many_rows_there_are_is_not_claimed_where_some_may_be_left_out()
    {
        var options = new ChatDataOptions { QuestionColumn = "question", AnswerColumn = "answer", MaxErrors = 10 };
        IDataView view = _ml.Data.LoadChatFromParquet(options, ExpectedData.Path("gsm8k_nulls.parquet"));
        Assert.Null(view.GetRowCount());
        Assert.NotEmpty(Ids(view));
        Assert.Equal([2L, 3L], view.GetSkippedChatRows().Select(error => error.Row));
    }

    [Fact]
    public void A_file_that_cannot_be_read_on_ends_it_whatever_is_allowed()
    {
        using TemporaryFolder folder = Fixtures.Temporary();
        byte[] bytes = File.ReadAllBytes(ExpectedData.Path("messages_polars.parquet"));
        bytes.AsSpan(4, 2000).Clear();
        File.WriteAllBytes(folder.File("damaged.parquet"), bytes);
        IDataView view = _ml.Data.LoadChatFromParquet(new ChatDataOptions { MaxErrors = 1000 }, folder.File("damaged.parquet"));
        Assert.Contains("damaged", Assert.Throws<ChatDataException>(() => Ids(view)).Reason);
    }

    [Fact]
    public void Rows_that_the_template_refuses_count_where_a_checkpoint_is_named()
    {
        using TemporaryFolder folder = Fixtures.Temporary();
        foreach (string name in new[] { "tokenizer.json", "tokenizer_config.json" })
            File.Copy(Path.Combine(Fixtures.Checkpoint("tiny-chat"), name), folder.File(name));
        File.WriteAllText(folder.File("chat_template.jinja"),
            "{% for m in messages %}{% if m.role == 'moderator' %}{{ raise_exception('Nobody moderates here.') }}{% endif %}{{ m.content "
            + "}}{% endfor %}");
        string file = folder.File("rows.jsonl"), refused = """[{"role":"moderator","content":"x"}]""";
        File.WriteAllLines(file, [Good, refused, Good]);
        Assert.Equal(3, Ids(_ml.Data.LoadChatFromJsonLines(file)).Length);
        var error = Assert.Throws<ChatDataException>(() =>
            Ids(_ml.Data.LoadChatFromJsonLines(new ChatDataOptions { Checkpoint = folder.Path }, file)));
        Assert.Equal((file, 2L), (error.File, error.Line));
        Assert.Contains("Nobody moderates here.", error.Message);
        IDataView view = _ml.Data.LoadChatFromJsonLines(new ChatDataOptions { Checkpoint = folder.Path, MaxErrors = 1 }, file);
        Assert.Equal([0ul, 2], Ids(view));
        Assert.Equal(2, view.GetSkippedChatRows().Single().Line);
        Assert.Throws<FileNotFoundException>(() =>
            _ml.Data.LoadChatFromJsonLines(new ChatDataOptions { Checkpoint = Fixtures.Checkpoint("tiny-2layer") }, file));
    }

    [Fact]
    public void Only_the_loaded_view_knows_them()
    {
        IDataView view = _ml.Data.LoadChatFromEnumerable([Good]);
        Assert.Throws<ArgumentException>(() => _ml.Data.TakeRows(view, 1).GetSkippedChatRows());
        Assert.Throws<ArgumentOutOfRangeException>(() => _ml.Data.LoadChatFromEnumerable(new ChatDataOptions { MaxErrors = -1 }, [Good]));
    }

    private static ulong[] Ids(IDataView view)
    {
        using DataViewRowCursor cursor = view.GetRowCursor(view.Schema);
        ValueGetter<DataViewRowId> getId = cursor.GetIdGetter();
        var ids = new List<ulong>();
        DataViewRowId id = default;
        while (cursor.MoveNext())
        {
            getId(ref id);
            ids.Add(id.Low);
        }
        return [.. ids];
    }
}
