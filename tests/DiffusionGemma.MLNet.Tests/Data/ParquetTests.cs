using System.Text.Json;
using CsCheck;
using Microsoft.ML;
using Microsoft.ML.Data;
using Parquet;
using Parquet.Schema;
using Parquet.Serialization;

namespace DiffusionGemma.Data;

public sealed class ParquetTests
{
    private readonly MLContext _ml = new(seed: 1);

    [Theory]
    [InlineData("gsm8k_pyarrow_gzip.parquet")]
    [InlineData("gsm8k_pyarrow_zstd.parquet")]
    [InlineData("gsm8k_pyarrow_snappy.parquet")]
    [InlineData("gsm8k_pyarrow_none.parquet")]
    [InlineData("gsm8k_pyarrow_v1_plain.parquet")]
    [InlineData("gsm8k_pyarrow_v26_delta.parquet")]
    [InlineData("gsm8k_polars.parquet")]
    [InlineData("gsm8k_duckdb.parquet")]
    public void Questions_and_answers_are_what_was_written(string file)
    {
        IDataView view = _ml.Data.LoadChatFromParquet(ExpectedData.Path(file), questionColumn: "question", answerColumn: "answer");
        Assert.Equal(60, view.GetRowCount());
        JsonElement[] rows = ExpectedData.Rows(view);
        Assert.Equal(ExpectedData.Questions,
            rows.Select(row => (row[0].GetProperty("content").GetString()!, row[1].GetProperty("content").GetString()!)));
        Assert.All(rows, row => Assert.Equal(["user", "assistant"],
            row.EnumerateArray().Select(message => message.GetProperty("role").GetString())));
    }

    [Fact]
    public void A_thread_with_a_context_of_its_own_reads_too() => BlockedContext.Run(() =>
    {
        IDataView view = _ml.Data.LoadChatFromParquet(
            ExpectedData.Path("gsm8k_pyarrow_zstd.parquet"), questionColumn: "question", answerColumn: "answer");
        Assert.Equal(60, ExpectedData.Rows(view).Length);
    });

    [Theory]
    [InlineData("messages_pyarrow.parquet")]
    [InlineData("messages_polars.parquet")]
    [InlineData("messages_pyarrow_large.parquet")]
    [InlineData("messages_json_pyarrow.parquet")]
    public void Messages_are_what_was_written(string file) =>
        ExpectedData.AssertChats(ExpectedData.Chats, ExpectedData.Rows(_ml.Data.LoadChatFromParquet(ExpectedData.Path(file))));

    /// <summary>
    /// One conversation in the forms of different writers: lists of two levels, a bare repeated group, roles as an enumeration.
    /// </summary>
    [Theory]
    [InlineData("messages_two_level_array.parquet")]
    [InlineData("messages_two_level_tuple.parquet")]
    [InlineData("messages_repeated_group.parquet")]
    [InlineData("messages_enum_role.parquet")]
    public void Messages_of_older_writers_are_read(string file)
    {
        IDataView view = _ml.Data.LoadChatFromParquet(new ChatDataOptions { TemplateColumns = ["source"] },
            Fixtures.Path("parquet", file));
        Assert.Equal(3, view.GetRowCount());
        Assert.Equal(
            [
                """{"messages":[{"role":"user","content":"What is 2 plus 2?"},{"role":"assistant","content":"4"}],"source":"a"}""",
                """[{"role":"user","content":"b"}]""",
                """{"messages":[{"role":"user","content":"c"},{"role":"tool","content":"Gr\u00FC\u00DFe"},"""
                    + """{"role":"assistant","content":"e"}],"source":"c"}""",
            ],
            view.GetColumn<string>("Messages"));
    }

    [Fact]
    public void Columns_of_the_logical_type_JSON_are_text()
    {
        string path = Fixtures.Path("parquet", "messages_json_duckdb.parquet");
        Assert.Equal(
            [
                """[{"role":"user","content":"What is 2+2?"},{"role":"assistant","content":"4"}]""",
                """{"messages":[{"role":"user","content":"Grüße \"x\""},{"role":"assistant","content":"a\nb"}]"""
                    + ""","tools":[{"type":"function","function":{"name":"f"}}]}""",
            ],
            _ml.Data.LoadChatFromParquet(path).GetColumn<string>("Messages"));
    }

    [Fact]
    public void A_file_without_rows_gives_none()
    {
        IDataView view = _ml.Data.LoadChatFromParquet(ExpectedData.Path("gsm8k_empty.parquet"), "question", "answer");
        Assert.Equal(0, view.GetRowCount());
        Assert.Empty(ExpectedData.Rows(view));
    }

    [Fact]
    public void A_null_question_or_answer_names_its_row()
    {
        string file = ExpectedData.Path("gsm8k_nulls.parquet");
        IDataView view = _ml.Data.LoadChatFromParquet(file, "question", "answer");
        var error = Assert.Throws<ChatDataException>(() => ExpectedData.Rows(view));
        Assert.Equal((file, 2L), (error.File, error.Row));
        Assert.Contains("row 2 (counted from 0): 'question' is null or missing", error.Message);
        error = Assert.Throws<ChatDataException>(() => ExpectedData.Rows(_ml.Data.LoadChatFromParquet(file, "answer", "question")));
        Assert.Equal((2L, "'question' is null or missing: give it a text, or take the row out"), (error.Row, error.Reason));
        error = Assert.Throws<ChatDataException>(() => ExpectedData.Rows(_ml.Data.LoadChatFromParquet(file, "answer")));
        Assert.Equal((3L, "'answer' is null or missing: give it a text, or take the row out"), (error.Row, error.Reason));
    }

    [Theory]
    [InlineData("broken_truncated.parquet", "cut short")]
    [InlineData("broken_footer.parquet", "its footer claims")]
    [InlineData("messages.jsonl", "no parquet file")]
    public void What_is_no_parquet_file_is_refused_at_once(string file, string reason)
    {
        var error = Assert.Throws<ChatDataException>(() => _ml.Data.LoadChatFromParquet(ExpectedData.Path(file), "question", "answer"));
        Assert.Equal(ExpectedData.Path(file), error.File);
        Assert.Contains(reason, error.Message);
    }

    [Fact]
    public void Columns_are_checked_at_once()
    {
        string questions = ExpectedData.Path("gsm8k_polars.parquet"), messages = ExpectedData.Path("messages_pyarrow_large.parquet");
        Assert.Contains("no column 'prompt'; the file has 'question', 'answer'",
            Assert.Throws<ChatDataException>(() => _ml.Data.LoadChatFromParquet(questions, "prompt", "answer")).Message);
        Assert.Contains("no column 'messages'", Assert.Throws<ChatDataException>(() => _ml.Data.LoadChatFromParquet(questions)).Message);
        Assert.Contains("'messages' must be text, it holds a list",
            Assert.Throws<ChatDataException>(() => _ml.Data.LoadChatFromParquet(messages, "messages")).Message);
        Assert.Contains("'id' must be a list of messages or the JSON text of one, it holds values of Int64",
            Assert.Throws<ChatDataException>(() => _ml.Data.LoadChatFromParquet(messages, messagesColumn: "id")).Message);
        Assert.Throws<FileNotFoundException>(() => _ml.Data.LoadChatFromParquet("nowhere.parquet"));
    }

    [Fact]
    public void Questions_alone_are_rows_to_answer_and_a_system_prompt_goes_first()
    {
        IDataView view = _ml.Data.LoadChatFromParquet(ExpectedData.Path("gsm8k_polars.parquet"), "question", systemPrompt: "Be brief.");
        JsonElement row = ExpectedData.Rows(view)[5];
        Assert.Equal(["system", "user"], row.EnumerateArray().Select(message => message.GetProperty("role").GetString()));
        Assert.Equal(ExpectedData.Questions[5].Question, row[1].GetProperty("content").GetString());
    }

    [Fact]
    public async Task Lists_in_structs_in_lists_nulls_and_empty_lists_come_out_as_they_went_in()
    {
        var call = new StructField("element", new DataField<string>("name"), new DataField<int?>("count"), new DataField<double?>("weight"),
            new DataField<bool?>("strict"),
            new ListField("tags", new DataField<string>("element")));
        var schema = new ParquetSchema(
            new ListField("messages", new StructField("element", new DataField<string>("role"), new DataField<string>("content"),
                new ListField("tool_calls", call))),
            new DataField<string>("tools"));
        Dictionary<string, object?> Call(string name, int? count, double? weight, bool? strict, params string[] tags) =>
            new()
            {
                ["name"] = name, ["count"] = count, ["weight"] = weight, ["strict"] = strict,
                ["tags"] = tags.Select(tag => (ReadOnlyMemory<char>?)tag.AsMemory()).ToList()
            };
        Dictionary<string, object?> Message(string role, string? content, params Dictionary<string, object?>[] calls) =>
            new() { ["role"] = role, ["content"] = content, ["tool_calls"] = calls.ToList() };
        List<Dictionary<string, object?>> rows =
        [
            new() { ["messages"] = new List<Dictionary<string,
                object?>> { Message("user", "a"), Message("assistant", null, Call("f", 1, 0.5, true, "x", "y"),
                Call("g", null, null, null)) }, ["tools"] = null },
            new() { ["messages"] = new List<Dictionary<string, object?>> { Message("user", "b") }, ["tools"] = "[{\"name\":\"f\"}]" },
        ];
        using TemporaryFolder folder = Fixtures.Temporary();
        await using (FileStream stream = File.Create(folder.File("nested.parquet")))
            await ParquetSerializer.SerializeUntypedAsync(rows!, schema, stream, cancellationToken: TestContext.Current.CancellationToken);

        Assert.Equal(
            [
                """[{"role":"user","content":"a","tool_calls":[]},{"role":"assistant","tool_calls":[{"name":"f","count":1"""
                    + ""","weight":0.5,"strict":true,"tags":["x","y"]},{"name":"g","tags":[]}]}]""",
                """{"messages":[{"role":"user","content":"b","tool_calls":[]}],"tools":[{"name":"f"}]}""",
            ],
            _ml.Data.LoadChatFromParquet(folder.File("nested.parquet")).GetColumn<string>("Messages"));
    }

    /// <summary>None of these may wait for a row to be found out.</summary>
    [Fact]
    public async Task Columns_of_a_kind_that_cannot_be_used_are_refused_at_once()
    {
        using TemporaryFolder folder = Fixtures.Temporary();
        StructField Message(params Field[] fields) => new("element", [.. fields]);
        DataField Role() => new DataField<string>("role");
        await Refused("column 'messages/list/element/time' holds values of DateTime",
            new ListField("messages", Message(Role(), new DataField<DateTime>("time"))));
        await Refused("column 'messages/list/element/cost' holds values of Decimal",
            new ListField("messages", Message(Role(), new DecimalDataField("cost", 10, 2))));
        await Refused("column 'messages/list/element/raw' holds values of ",
            new ListField("messages", Message(Role(), new DataField<byte[]>("raw"))));
        await Refused("tags/key_value' holds a map", new ListField("messages",
            Message(Role(), new MapField("tags", new DataField("key", typeof(string), isNullable: false),
            new DataField<string>("value")))));
        await Refused("column 'chat_template_kwargs/when' holds values of DateTime", new DataField<string>("messages"),
            new StructField("chat_template_kwargs", new DataField<DateTime>("when")));
        await Refused("must be a list of messages or the JSON text of one, it holds a list of values of Int32",
            new ListField("messages", new DataField<int>("element")));
        await Refused("must be a list of messages or the JSON text of one, it holds a struct", new StructField("messages", Role()));
        await Refused("the messages of column 'messages' have no text 'value'; they have 'from', 'text'",
            new ListField("messages", Message(new DataField<string>("from"), new DataField<string>("text"))));
        await Refused("the messages of column 'messages' have no text 'role'; they have 'role'",
            new ListField("messages", Message(new DataField<int>("role"))));
        await Refused("the messages of column 'conversations' have no text 'role'; they have 'speaker'",
            new ListField("conversations", Message(new DataField<string>("speaker"))));

        async Task Refused(string reason, params Field[] fields)
        {
            string file = folder.File($"{Guid.NewGuid():N}.parquet");
            await using (FileStream stream = File.Create(file))
            await using (await ParquetWriter.CreateAsync(new ParquetSchema(fields), stream,
                cancellationToken: TestContext.Current.CancellationToken))
            {
            }
            var error = Assert.Throws<ChatDataException>(() => _ml.Data.LoadChatFromParquet(file));
            Assert.True(error.Message.Contains(reason, StringComparison.Ordinal), error.Message);
            Assert.Equal(file, error.File);
        }
    }

    [Theory]
    [InlineData("when")]
    [InlineData("price")]
    public async Task A_template_column_without_a_JSON_form_is_refused_at_once(string column)
    {
        using TemporaryFolder folder = Fixtures.Temporary();
        string file = folder.File("odd.parquet");
        await using (FileStream stream = File.Create(file))
        await using (await ParquetWriter.CreateAsync(new ParquetSchema(new DataField<string>("messages"), new DataField<DateTime>("when"),
            new DecimalDataField("price", 12, 3)), stream,
            cancellationToken: TestContext.Current.CancellationToken))
        {
        }
        Assert.Contains($"column '{column}' holds values of",
            Assert.Throws<ChatDataException>(() => _ml.Data.LoadChatFromParquet(new ChatDataOptions { TemplateColumns = [column] },
            file)).Message);
        Assert.Equal(0, _ml.Data.LoadChatFromParquet(file).GetRowCount());          // a column that nobody asks for may hold anything
    }
}
