using System.Text.Json;
using CsCheck;
using Microsoft.ML;
using Microsoft.ML.Data;

namespace DiffusionGemma.Data;

public sealed class JsonLinesTests
{
    private readonly MLContext _ml = new(seed: 1);

    [Theory]
    [InlineData("messages.jsonl", 60)]
    [InlineData("messages_bom_crlf_blank.jsonl", 3)]
    [InlineData("messages_extra_columns.jsonl", 5)]
    [InlineData("conversations_sharegpt.jsonl", 3)]
    public void Every_row_is_what_was_written(string file, int rows) =>
        ExpectedData.AssertChats(ExpectedData.Chats.Take(rows), ExpectedData.Rows(_ml.Data.LoadChatFromJsonLines(ExpectedData.Path(file))));

    [Fact]
    public void Escapes_and_a_missing_last_newline_lose_nothing()
    {
        JsonElement[] rows = ExpectedData.Rows(_ml.Data.LoadChatFromJsonLines(ExpectedData.Path("messages_no_last_newline_ascii.jsonl")));
        Assert.Equal(3, rows.Length);
        Assert.All(rows, row => Assert.Equal("naïve 🙂 \u2028 x", row[0].GetProperty("content").GetString()));
        Assert.All(rows, row => Assert.Equal("é\t\\", row[1].GetProperty("content").GetString()));
    }

    [Fact]
    public void Other_keys_of_a_row_survive_and_null_ones_are_absent()
    {
        JsonElement[] rows = ExpectedData.Rows(_ml.Data.LoadChatFromJsonLines(ExpectedData.Path("messages_extra_columns.jsonl")));
        for (int i = 0; i < rows.Length; i++)
        {
            Assert.Equal(["messages", "id", "source"], rows[i].EnumerateObject().Select(property => property.Name));
            Assert.Equal(i, rows[i].GetProperty("id").GetInt32());
        }
    }

    [Fact]
    public void Several_files_follow_each_other()
    {
        string[] files = [ExpectedData.Path("messages.jsonl"), ExpectedData.Path("messages_bom_crlf_blank.jsonl")];
        ExpectedData.AssertChats([.. ExpectedData.Chats, .. ExpectedData.Chats.Take(3)],
            ExpectedData.Rows(_ml.Data.LoadChatFromJsonLines(files)));
    }

    [Fact]
    public void The_line_at_fault_is_named_and_rows_before_it_are_read()
    {
        string file = ExpectedData.Path("messages_bad_line_3.jsonl");
        IDataView view = _ml.Data.LoadChatFromJsonLines(file);
        var read = new List<string>();
        var error = Assert.Throws<ChatDataException>(() => read.AddRange(view.GetColumn<string>("Messages")));
        Assert.Equal((file, 3L), (error.File, error.Line));
        Assert.Contains("messages_bad_line_3.jsonl, line 3: the row is not valid JSON", error.Message);
        Assert.Equal(2, _ml.Data.TakeRows(view, 2).GetColumn<string>("Messages").Count());
    }

    [Fact]
    public void Each_wrong_shape_has_its_own_reason()
    {
        string[] lines = File.ReadAllLines(ExpectedData.Path("messages_wrong_shapes.jsonl"));
        string[] reasons =
        [
            "'messages' is a text that is not JSON",
            "'messages' is empty",
            "the row has no 'messages' (and no 'conversations' or 'instruction'); it has 'text'",
            "messages[0] has no 'role'",
            "messages[0] has no 'content'",
            "messages[0] is int, where an object",
            "a row is an object with 'messages', this one is null",
            "messages[0] has 'content' of type int",
        ];
        Assert.Equal(reasons.Length, lines.Length);
        using TemporaryFolder folder = Fixtures.Temporary();
        string file = folder.File("one.jsonl");
        for (int i = 0; i < lines.Length; i++)
        {
            // Alone on its line, after as many blank lines as there were before it.
            File.WriteAllText(file, new string('\n', i) + lines[i]);
            var error = Assert.Throws<ChatDataException>(() => ExpectedData.Rows(_ml.Data.LoadChatFromJsonLines(file)));
            Assert.Equal(i + 1, error.Line);
            Assert.StartsWith(reasons[i], error.Reason);
        }
    }

    [Theory]
    [InlineData("""{"messages": [{"role": "", "content": "x"}]}""", "messages[0] has a 'role' of type str")]
    [InlineData("""{"messages": [{"role": "user", "content": [1]}]}""", "messages[0] has a content part that is no object")]
    [InlineData("""{"messages": [{"role": "\ud800", "content": "x"}]}""", "a text in the row holds half a surrogate pair")]
    [InlineData("""{"conversations": [{"from": "human", "value": "\ud800"}]}""", "a string of the row cannot be read")]
    [InlineData("""{"messages": [{"role": "user", "content": [{"type": "image"}]}]}""",
        "messages[0] has a content part of type 'image': only text parts are supported")]
    [InlineData("""{"messages": [{"role": "user", "content": "x"}], "tools": "none"}""", "'tools' is a text that is not JSON")]
    [InlineData("""{"conversations": [{"from": "moderator", "value": "x"}]}""", "turn 0 is from 'moderator'")]
    [InlineData("""{"conversations": [{"from": "human"}]}""", "turn 0 has no 'value'")]
    [InlineData("""{"conversations": [{"from": "human", "value": 3}]}""", "'value' of turn 0 must be text, it is the number 3")]
    [InlineData("""{"conversations": []}""", "the list 'conversations' is empty")]
    [InlineData("{}", "the row has no 'messages' (and no 'conversations' or 'instruction'); it has no keys")]
    [InlineData("7", "a row is an object with 'messages', this one is the number 7")]
    public void Other_wrong_rows_have_a_reason_too(string row, string reason)
    {
        using TemporaryFolder folder = Fixtures.Temporary();
        File.WriteAllText(folder.File("one.jsonl"), row);
        var error = Assert.Throws<ChatDataException>(() => ExpectedData.Rows(_ml.Data.LoadChatFromJsonLines(folder.File("one.jsonl"))));
        Assert.StartsWith(reason, error.Reason);
    }

    [Fact]
    public void A_row_without_messages_leads_to_the_options_that_name_its_keys()
    {
        using TemporaryFolder folder = Fixtures.Temporary();
        string file = folder.File("rows.jsonl");
        File.WriteAllText(file, """{"prompt": "2+2?", "completion": "4"}""");
        ChatDataException Load(ChatDataOptions options) =>
            Assert.Throws<ChatDataException>(() => ExpectedData.Rows(_ml.Data.LoadChatFromJsonLines(options, file)));

        var error = Load(new ChatDataOptions());
        Assert.Equal("messages", error.MissingColumn);
        Assert.Contains("it has 'prompt', 'completion'. Name the key of the messages, MessagesColumn, or those of a question and its "
            + "answer, QuestionColumn and AnswerColumn", error.Message);
        Assert.Equal("question", Load(new ChatDataOptions { QuestionColumn = "question" }).MissingColumn);
        Assert.Equal(
            ["""[{"role":"user","content":"2+2?"},{"role":"assistant","content":"4"}]"""],
            _ml.Data.LoadChatFromJsonLines(new ChatDataOptions { QuestionColumn = "prompt", AnswerColumn = "completion" }, file)
                .GetColumn<string>("Messages"));
    }

    [Fact]
    public void A_first_line_that_is_a_conversation_is_one()
    {
        using TemporaryFolder folder = Fixtures.Temporary();
        string file = folder.File("rows.jsonl");
        File.WriteAllText(file, """[{"role":"user","content":"a"}]""");
        Assert.Single(ExpectedData.Rows(_ml.Data.LoadChatFromJsonLines(file)));
        // A row that is broken is a row, not a file of another kind.
        File.WriteAllText(file, "{\"messages\": \n[{\"role\":\"user\",\"content\":\"a\"}]\n");
        Assert.Single(ExpectedData.Rows(_ml.Data.LoadChatFromJsonLines(new ChatDataOptions { MaxErrors = 1 }, file)));
    }

    [Fact]
    public void A_message_without_content_that_calls_a_tool_is_one()
    {
        const string Row =
            """[{"role":"assistant","content":null,"tool_calls":[{"type":"function","function":{"name":"add","arguments":{"a":1.0}}}]}]""";
        Assert.Equal([Row], _ml.Data.LoadChatFromEnumerable([Row]).GetColumn<string>("Messages"));
    }

    [Fact]
    public void Question_and_answer_keys_become_messages()
    {
        using TemporaryFolder folder = Fixtures.Temporary();
        File.WriteAllText(folder.File("qa.jsonl"), """{"q": "2+2?", "a": "4", "more": 1}""");
        var options = new ChatDataOptions { QuestionColumn = "q", AnswerColumn = "a", SystemPrompt = "Be brief.", OutputColumn = "Chat" };
        Assert.Equal("""[{"role":"system","content":"Be brief."},{"role":"user","content":"2+2?"},{"role":"assistant","content":"4"}]""",
            _ml.Data.LoadChatFromJsonLines(options, folder.File("qa.jsonl")).GetColumn<string>("Chat").Single());
    }

    [Fact]
    public void A_missing_file_and_contradictory_options_are_refused_before_anything_is_read()
    {
        Assert.Throws<FileNotFoundException>(() => _ml.Data.LoadChatFromJsonLines("nowhere.jsonl"));
        Assert.Throws<ArgumentException>(() => _ml.Data.LoadChatFromJsonLines());
        Assert.Throws<ArgumentException>(() => _ml.Data.LoadChatFromJsonLines(new ChatDataOptions { AnswerColumn = "a" },
            ExpectedData.Path("messages.jsonl")));
        Assert.Throws<ArgumentException>(() => _ml.Data.LoadChatFromJsonLines(new ChatDataOptions { SystemPrompt = "x" },
            ExpectedData.Path("messages.jsonl")));
    }

    [Fact]
    public void Lines_longer_than_the_reading_buffer_stay_whole()
    {
        // Lengths around the buffer's 64 KiB and far beyond it, with characters of several bytes across every boundary.
        Gen.Int[0, 300_000].Array[1, 6].Check(20, lengths =>
        {
            using TemporaryFolder folder = Fixtures.Temporary("lines");
            string[] contents = [.. lengths.Select((length, i) => string.Concat(Enumerable.Repeat(i % 2 == 0 ? "é🙂" : "x", length / 4)))];
            File.WriteAllLines(folder.File("long.jsonl"),
                contents.Select(content => JsonSerializer.Serialize(new[] { new { role = "user", content } })));
            IEnumerable<string?> read = ExpectedData.Rows(_ml.Data.LoadChatFromJsonLines(folder.File("long.jsonl")))
                .Select(row => row[0].GetProperty("content").GetString());
            Assert.Equal(contents, read);
        });
    }

    [Fact]
    public void Bytes_that_are_no_text_are_an_error_of_their_line()
    {
        using TemporaryFolder folder = Fixtures.Temporary();
        File.WriteAllBytes(folder.File("bad.jsonl"), [.. "[{\"role\":\"user\",\"content\":\""u8, 0xC3, .. "\"}]"u8]);
        Assert.Equal(1,
            Assert.Throws<ChatDataException>(() => ExpectedData.Rows(_ml.Data.LoadChatFromJsonLines(folder.File("bad.jsonl")))).Line);
    }
}
