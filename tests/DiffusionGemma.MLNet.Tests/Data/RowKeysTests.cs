using Microsoft.ML;
using Microsoft.ML.Data;
using Parquet.Schema;
using Parquet.Serialization;

namespace DiffusionGemma.Data;

/// <summary>Keys of a row other than its messages.</summary>
public sealed class RowKeysTests
{
    private readonly MLContext _ml = new(seed: 1);

    [Theory]
    // Numbers keep their nature and their digits, and unknown keys stay, wherever they are.
    [InlineData(
        """{"messages":[{"role":"user","content":"x","weight":1.0,"n":1,"e":1e2,"null":null,"big":123456789012345678901234567890}]"""
            + ""","temperature":2.50,"count":3}""")]
    [InlineData(
        """{"messages":[{"role":"assistant","tool_calls":[{"function":{"name":"f","arguments":{"a":1.0,"b":[1,2.0]}}}]},"""
            + """{"role":"tool","name":"f","content":"5"}],"tools":[{"type":"function"}]"""
            + ""","chat_template_kwargs":{"enable_thinking":true}}""")]
    [InlineData(
        """{"messages":[{"role":"user","content":[{"type":"text","text":"x"}]},{"role":"assistant","reasoning_content":"h"""
            + """m","content":"y"}],"documents":[{"title":"t"}]}""")]
    public void A_row_s_object_is_kept(string row) => Assert.Equal(row,
        _ml.Data.LoadChatFromEnumerable([row]).GetColumn<string>("Messages").Single());

    [Fact]
    public void Tools_and_template_arguments_may_be_JSON_in_a_text() => Assert.Equal(
        """{"messages":[{"role":"user","content":"x"}],"tools":[{"n":1.0}],"chat_template_kwargs":{"a":1},"note":"[1]"}""",
        _ml.Data.LoadChatFromEnumerable(
            ["""{"messages":[{"role":"user","content":"x"}],"tools":"[{\"n\":1.0}]","chat_template_kwargs":"{\"a\":1}","note":"[1]"}"""])
            .GetColumn<string>("Messages").Single());

    [Theory]
    [InlineData("image", "\"a.png\"")]
    [InlineData("images", "[{\"bytes\":null}]")]
    [InlineData("audio", "{\"path\":\"a.wav\"}")]
    [InlineData("videos", "[1]")]
    public void What_is_not_text_is_refused_beside_the_messages(string key, string value)
    {
        string chat = """[{"role":"user","content":"x"}]""", row = $$"""{"messages":{{chat}},"{{key}}":{{value}}}""";
        var error = Assert.Throws<ChatDataException>(() => _ml.Data.LoadChatFromEnumerable([chat, row]).GetColumn<string>("Messages")
            .ToArray());
        Assert.Equal((1L, $"The row has '{key}': this library is text only; take out what is not text, or the row."),
            (error.Row, error.Reason));
        var question = new ChatDataOptions { QuestionColumn = "q" };
        Assert.Contains($"the row has '{key}'", Assert.Throws<ChatDataException>(() =>
            _ml.Data.LoadChatFromEnumerable(question, [$$"""{"q":"x","{{key}}":{{value}}}"""]).GetColumn<string>("Messages")
                .ToArray()).Reason);
        foreach (string empty in new[] { "[]", "\"\"", "null" })
        {
            Assert.Single(_ml.Data.LoadChatFromEnumerable([$$"""{"messages":{{chat}},"{{key}}":{{empty}}}"""])
                .GetColumn<string>("Messages"));
            Assert.Single(_ml.Data.LoadChatFromEnumerable(question, [$$"""{"q":"x","{{key}}":{{empty}}}"""]).GetColumn<string>("Messages"));
        }
    }

    [Theory]
    [InlineData("image_url")]
    [InlineData("input_audio")]
    [InlineData("video")]
    public void What_is_not_text_is_refused_among_the_messages(string type)
    {
        string row = $$"""[{"role":"user","content":[{"type":"text","text":"x"},{"type":"{{type}}"}]}]""";
        var error = Assert.Throws<ChatDataException>(() => _ml.Data.LoadChatFromEnumerable([row]).GetColumn<string>("Messages").ToArray());
        Assert.Contains($"messages[0] has a content part of type '{type}': only text parts are supported, this library is text only",
            error.Message);
        Assert.Equal(0, error.Row);
    }

    [Fact]
    public async Task Nested_tools_template_arguments_and_chosen_columns_come_from_parquet()
    {
        var tool = new StructField("element", new DataField<string>("name"), new DataField<double>("weight"), new DataField<float>("bias"),
            new DataField<short>("rank"));
        var schema = new ParquetSchema(new DataField<string>("messages"), new ListField("tools", tool),
            new DataField<string>("chat_template_kwargs"),
            new DataField<bool?>("enable_thinking"), new DataField<long>("id"));
        List<Dictionary<string, object?>> rows =
        [
            new()
            {
                ["messages"] = """[{"role":"user","content":"x"}]""",
                ["tools"] = new List<Dictionary<string,
                    object?>> { new() { ["name"] = "f", ["weight"] = 1.0, ["bias"] = 0.1f, ["rank"] = (short)3 } },
                ["chat_template_kwargs"] = """{"a":1.0}""", ["enable_thinking"] = true, ["id"] = 5L,
            },
            new()
            {
                ["messages"] = """[{"role":"user","content":"y"}]""", ["tools"] = new List<Dictionary<string, object?>>(),
                    ["chat_template_kwargs"] = null, ["enable_thinking"] = null, ["id"] = 6L,
            },
        ];
        using TemporaryFolder folder = Fixtures.Temporary();
        string file = folder.File("tools.parquet");
        await using (FileStream stream = File.Create(file))
            await ParquetSerializer.SerializeUntypedAsync(rows!, schema, stream, cancellationToken: TestContext.Current.CancellationToken);

        Assert.Equal(
            [
                """{"messages":[{"role":"user","content":"x"}],"tools":[{"name":"f","weight":1.0,"bias":0.10000000149011612"""
                    + ""","rank":3}],"chat_template_kwargs":{"a":1.0},"enable_thinking":true}""",
                """{"messages":[{"role":"user","content":"y"}],"tools":[]}""",
            ],
            _ml.Data.LoadChatFromParquet(new ChatDataOptions { TemplateColumns = ["enable_thinking"] }, file)
                .GetColumn<string>("Messages"));
        Assert.Contains("no column 'nothing'", Assert.Throws<ChatDataException>(() =>
            _ml.Data.LoadChatFromParquet(new ChatDataOptions { TemplateColumns = ["nothing"] }, file)).Message);
    }

    [Fact]
    public async Task A_parquet_file_with_images_is_refused_at_once()
    {
        using TemporaryFolder folder = Fixtures.Temporary();
        await using (FileStream stream = File.Create(folder.File("images.parquet")))
            await ParquetSerializer.SerializeUntypedAsync([new Dictionary<string, object?> { ["messages"] = "[]", ["images"] = "a.png" }]!,
                new ParquetSchema(new DataField<string>("messages"), new DataField<string>("images")),
                stream, cancellationToken: TestContext.Current.CancellationToken);
        Assert.Contains("'images', and this library is text only",
            Assert.Throws<ChatDataException>(() => _ml.Data.LoadChatFromParquet(folder.File("images.parquet"))).Message);
    }

    /// <summary>As in Python's json: the last value of a repeated key, in the place of the first.</summary>
    [Theory]
    [InlineData("""{"id":1,"messages":[{"role":"user","content":"x"}],"n":2,"id":3}""",
        """{"messages":[{"role":"user","content":"x"}],"id":3,"n":2}""")]
    [InlineData("""{"messages":[{"role":"user","content":"x"}],"messages":[{"role":"user","content":"y"}]}""",
        """[{"role":"user","content":"y"}]""")]
    [InlineData("""{"messages":[{"role":"user","content":"x"}],"tools":[{"name":"f"}],"tools":null}""",
        """[{"role":"user","content":"x"}]""")]
    [InlineData("""{"conversations":[{"from":"gpt","from":"human","value":"x","value":"y","w":1,"w":2}]}""",
        """[{"role":"user","content":"y","w":2}]""")]
    [InlineData("""{"instruction":"a","output":"b","output":"c","k":1,"k":2}""",
        """{"messages":[{"role":"user","content":"a"},{"role":"assistant","content":"c"}],"k":2}""")]
    public void The_last_of_equal_keys_wins(string row, string messages) =>
        Assert.Equal([messages], _ml.Data.LoadChatFromEnumerable([row]).GetColumn<string>("Messages"));
}
