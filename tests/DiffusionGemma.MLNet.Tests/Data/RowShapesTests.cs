using Microsoft.Data.Analysis;
using Microsoft.ML;
using Microsoft.ML.Data;
using Parquet.Serialization;

namespace DiffusionGemma.Data;

/// <summary>Rows in the shapes of other tools' data.</summary>
public sealed class RowShapesTests
{
    private const string Plain = """[{"role":"user","content":"q"},{"role":"assistant","content":"a"}]""";
    private const string WithSystem =
        """[{"role":"system","content":"s"},{"role":"user","content":"q"},{"role":"assistant","content":"a"}]""";

    private readonly MLContext _ml = new(seed: 1);

    [Theory]
    [InlineData("""{"conversations":[{"from":"user","value":"q"},{"from":"chatgpt","value":"a"}]}""", Plain)]
    [InlineData("""{"conversations":[{"from":"Human","value":"q"},{"from":"GPT","value":"a"}]}""", Plain)]
    [InlineData("""{"conversations":[{"role":"user","content":"q"},{"role":"assistant","content":"a"}]}""", Plain)]
    [InlineData("""{"conversations":[{"role":"user","content":"q"},{"role":"assistant","content":"a"}],"system":"s"}""", WithSystem)]
    [InlineData("""{"messages":[{"from":"human","value":"q"},{"from":"gpt","value":"a"}],"system":"s"}""", WithSystem)]
    [InlineData("""{"conversations":"[{\"from\":\"human\",\"value\":\"q\"},{\"from\":\"gpt\",\"value\":\"a\"}]"}""", Plain)]
    [InlineData("""[{"from":"human","value":"q"},{"from":"gpt","value":"a"}]""", Plain)]
    [InlineData("""{"prompt":[{"role":"user","content":"q"}],"completion":[{"role":"assistant","content":"a"}]}""", Plain)]
    [InlineData("""{"instruction":"q","context":"","response":"a"}""", Plain)]
    [InlineData("""{"instruction":"q","answer":"a"}""", Plain)]
    [InlineData("""{"instruction":"q","completion":"a","output":null}""", Plain)]
    [InlineData("""{"instruction":"","input":"q","output":"a","system":"s","history":""}""", WithSystem)]
    [InlineData("""{"instruction":"r","output":"b","history":[["q","a"]]}""",
        """[{"role":"user","content":"q"},{"role":"assistant","content":"a"},{"role":"user","content":"r"},"""
        + """{"role":"assistant","content":"b"}]""")]
    [InlineData("""{"messages":[{"role":"user","content":"q"},{"role":"assistant","content":"a"}]"""
        + ""","tools":"","chat_template_kwargs":" "}""", Plain)]
    [InlineData("""{"conversations":[{"from":"human","value":"q"},"""
        + """{"from":"function_call","value":"{\"name\":\"f\",\"arguments\":{\"n\":1}}"},"""
        + """{"from":"observation","value":"7"},{"from":"gpt","value":"a"}],"tools":"[{\"name\":\"f\"}]"}""",
        """{"messages":[{"role":"user","content":"q"},{"role":"assistant","content":"","tool_calls":[{"type":"function","function":"""
        + """{"name":"f","arguments":{"n":1}}}]},{"role":"tool","content":"7"},{"role":"assistant","content":"a"}]"""
        + ""","tools":[{"name":"f"}]}""")]
    public void A_row_of_another_tool_is_read(string row, string expected) =>
        Assert.Equal(expected, Assert.Single(_ml.Data.LoadChatFromEnumerable([row]).GetColumn<string>("Messages")));

    [Theory]
    [InlineData("""{"conversations":[{"from":"function_call","value":"f(1)"}]}""", "turn 0 is a function_call whose value is not JSON")]
    [InlineData("""{"conversations":[{"from":"function_call","value":"[7]"}]}""", "turn 0 is a function_call of the number 7")]
    [InlineData("""{"instruction":"q","history":[["q"]]}""", "'history' must be a list of pairs of texts")]
    [InlineData("""{"instruction":"q","history":{"q":"a"}}""", "'history' must be a list of pairs of texts")]
    [InlineData("""{"messages":[{"role":"user","content":"q"}],"tools":["f"]}""", "tools[0] is a text that is no JSON object")]
    [InlineData("""{"messages":[{"role":"user","content":"q"}],"tools":[7]}""", "tools[0] is int, where an object")]
    [InlineData("""{"messages":[{"role":"assistant","tool_calls":["f"]}]}""", "messages[0] has tool_calls[0] of type str, where an object")]
    [InlineData("""{"messages":[{"role":"assistant","tool_calls":[{"function":"f"}]}]}""",
        "messages[0] has tool_calls[0].function of type str")]
    [InlineData("""{"messages":[{"role":"assistant","tool_calls":[{"type":"custom","custom":{"name":"f"}}]}]}""",
        "messages[0] has tool_calls[0] without the 'name' of a function")]
    [InlineData("""{"messages":[{"role":"assistant","tool_calls":[{"function":{"name":"f","arguments":[1]}}]}]}""",
        "messages[0].tool_calls[0] has 'arguments' of type list: write the arguments as an object")]
    [InlineData("""{"messages":[{"role":"assistant","function_call":"f"}]}""", "messages[0] has function_call of type str")]
    public void A_row_that_cannot_be_read_says_where(string row, string reason) => Assert.StartsWith(reason,
        Assert.Throws<ChatDataException>(() => _ml.Data.LoadChatFromEnumerable([row]).GetColumn<string>("Messages").ToArray()).Reason);

    [Fact]
    public void The_keys_that_options_name_may_hold_any_shape_and_tools_stay_beside_a_question()
    {
        Assert.Equal([Plain], _ml.Data.LoadChatFromEnumerable(new ChatDataOptions { MessagesColumn = "dialog" },
            ["""{"dialog":[{"from":"human","value":"q"},{"from":"gpt","value":"a"}]}"""]).GetColumn<string>("Messages"));
        Assert.Equal([$$"""{"messages":{{Plain}},"tools":[{"name":"f"}]}"""], _ml.Data.LoadChatFromEnumerable(
            new ChatDataOptions { QuestionColumn = "query", AnswerColumn = "answers" },
            ["""{"query":"q","answers":"a","tools":"[{\"name\":\"f\"}]","id":1}"""]).GetColumn<string>("Messages"));
    }

    /// <summary>An answer in a column of another name is not left out in silence.</summary>
    [Fact]
    public async Task Tables_of_Dolly_and_of_questions_with_tools()
    {
        using TemporaryFolder folder = Fixtures.Temporary();
        CancellationToken cancellation = TestContext.Current.CancellationToken;
        await ParquetSerializer.SerializeAsync([new Dolly { instruction = "q", response = "a" }], folder.File("dolly.parquet"),
            cancellationToken: cancellation);
        Assert.Equal([Plain], _ml.Data.LoadChatFromParquet(folder.File("dolly.parquet")).GetColumn<string>("Messages"));
        var frame = new DataFrame(new StringDataFrameColumn("instruction", ["q"]), new StringDataFrameColumn("response", ["a"]),
            new Int32DataFrameColumn("answer", [7]));
        Assert.Equal([Plain], _ml.Data.LoadChatFromDataFrame(frame).GetColumn<string>("Messages"));

        string expected = $$"""{"messages":{{Plain}},"tools":[{"name":"f"}]}""";
        var options = new ChatDataOptions { QuestionColumn = "query", AnswerColumn = "answers" };
        await ParquetSerializer.SerializeAsync([new Calls { query = "q", answers = "a", tools = """[{"name":"f"}]""" }],
            folder.File("calls.parquet"), cancellationToken: cancellation);
        Assert.Equal([expected], _ml.Data.LoadChatFromParquet(options, folder.File("calls.parquet")).GetColumn<string>("Messages"));
        frame = new DataFrame(new StringDataFrameColumn("query", ["q"]), new StringDataFrameColumn("answers", ["a"]),
            new StringDataFrameColumn("tools", ["""[{"name":"f"}]"""]));
        Assert.Equal([expected], _ml.Data.LoadChatFromDataFrame(frame, options).GetColumn<string>("Messages"));

        await ParquetSerializer.SerializeAsync([new Turns
            {
                dialog = [new() { from = "human", value = "q" }, new() { from = "gpt", value = "a" }],
            }], folder.File("turns.parquet"), cancellationToken: cancellation);
        Assert.Equal([Plain], _ml.Data.LoadChatFromParquet(folder.File("turns.parquet"), messagesColumn: "dialog")
            .GetColumn<string>("Messages"));
    }

    private sealed class Dolly
    {
        public string instruction { get; set; } = "";

        public string context { get; set; } = "";

        public string response { get; set; } = "";

        public int answer { get; set; }
    }

    private sealed class Calls
    {
        public string query { get; set; } = "";

        public string answers { get; set; } = "";

        public string tools { get; set; } = "";
    }

    private sealed class Turns
    {
        public List<Turn> dialog { get; set; } = [];
    }

    private sealed class Turn
    {
        public string from { get; set; } = "";

        public string value { get; set; } = "";
    }
}
