using System.Text.Json;
using Microsoft.ML;
using Microsoft.ML.Data;

namespace DiffusionGemma.Data;

public sealed class ChatDataViewTests
{
    private readonly MLContext _ml = new(seed: 1);

    [Fact]
    public void Cursors_are_lazy_independent_and_start_anew()
    {
        int pulled = 0;
        IEnumerable<string> Rows()
        {
            for (int i = 0; i < 5; i++)
            {
                pulled++;
                yield return $$"""[{"role":"user","content":"{{i}}"}]""";
            }
        }
        IDataView view = _ml.Data.LoadChatFromEnumerable(Rows());
        Assert.Equal(0, pulled);
        using DataViewRowCursor first = view.GetRowCursor(view.Schema), second = view.GetRowCursor(view.Schema);
        var getFirst = first.GetGetter<ReadOnlyMemory<char>>(view.Schema[0]);
        var getSecond = second.GetGetter<ReadOnlyMemory<char>>(view.Schema[0]);
        ReadOnlyMemory<char> text = default;
        Assert.True(first.MoveNext() && first.MoveNext() && second.MoveNext());
        Assert.Equal(3, pulled);
        getFirst(ref text);
        Assert.Contains("\"1\"", text.ToString());
        getSecond(ref text);
        Assert.Contains("\"0\"", text.ToString());
        Assert.Equal(5, view.GetColumn<string>("Messages").Count());
        Assert.Equal(5, view.GetColumn<string>("Messages").Count());
    }

    [Fact]
    public void A_row_keeps_its_number_where_others_are_filtered_out()
    {
        IDataView view = _ml.Data.SkipRows(_ml.Data.LoadChatFromJsonLines(ExpectedData.Path("messages.jsonl")), 7);
        using DataViewRowCursor cursor = view.GetRowCursor(view.Schema);
        ValueGetter<DataViewRowId> getId = cursor.GetIdGetter();
        DataViewRowId id = default;
        Assert.True(cursor.MoveNext());
        getId(ref id);
        Assert.Equal(7ul, id.Low);
    }

    [Fact]
    public void Messages_in_memory_are_JSON_without_loss()
    {
        ConversationMessage[] chat = [new("user", "\"<b>\" \\ é 🙂 \u2028\n\0"), new("assistant", "")];
        string text = _ml.Data.LoadChatFromEnumerable([chat]).GetColumn<string>("Messages").Single();
        JsonElement row = JsonDocument.Parse(text).RootElement;
        Assert.Equal(chat, row.EnumerateArray().Select(message =>
            new ConversationMessage(message.GetProperty("role").GetString()!, message.GetProperty("content").GetString()!)));
    }

    [Fact]
    public void A_bad_row_in_memory_is_named()
    {
        Assert.Equal(1, Assert.Throws<ChatDataException>(() =>
            _ml.Data.LoadChatFromEnumerable(["""[{"role":"user","content":"x"}]""", "[]"]).GetColumn<string>("Messages").ToArray()).Row);
        Assert.Equal(0, Assert.Throws<ChatDataException>(() =>
            _ml.Data.LoadChatFromEnumerable([new ConversationMessage[] { new("user", "\ud83d") }]).GetColumn<string>("Messages")
                .ToArray()).Row);
    }

    [Fact]
    public void The_view_survives_ML_NETs_own_binary_format()
    {
        IDataView view = _ml.Data.LoadChatFromJsonLines(ExpectedData.Path("messages_extra_columns.jsonl"));
        using TemporaryFolder folder = Fixtures.Temporary();
        using (FileStream stream = File.Create(folder.File("chats.idv")))
            _ml.Data.SaveAsBinary(view, stream);
        Assert.Equal(view.GetColumn<string>("Messages"), _ml.Data.LoadFromBinary(folder.File("chats.idv")).GetColumn<string>("Messages"));
    }
}
