using DiffusionGemma.FineTuning;
using Microsoft.ML;
using Microsoft.ML.Data;

namespace DiffusionGemma.Scoring;

/// <summary>An answer's thoughts and tool calls are columns of their own, and no markup is left in its text.</summary>
public sealed class AnswerPartsTests
{
    private const string Thinking = "<|channel>thought\nadd<channel|>#### 15";
    private const string Calling = """<|tool_call>call:add{a:8,b:7,unit:<|"|>apples<|"|>}<tool_call|>""";

    private readonly MLContext _ml = new(seed: 7);

    private DiffusionGemmaCatalog Gemma => _ml.Transforms.DiffusionGemma;

    [Theory]
    [InlineData(Thinking, "#### 15", "add", "")]
    [InlineData("15", "15", "", "")]
    [InlineData(Calling, "", "", """[{"type":"function","function":{"name":"add","arguments":{"a":8,"b":7,"unit":"apples"}}}]""")]
    [InlineData("<|channel>thought\nadd<channel|>" + Calling, "", "add",
        """[{"type":"function","function":{"name":"add","arguments":{"a":8,"b":7,"unit":"apples"}}}]""")]
    public void Infill_and_refine_give_the_parts(string response, string text, string reasoning, string toolCalls)
    {
        IDataView questions = TinyChat.Unanswered(_ml, "What is 8 plus 7?");
        using DiffusionGemmaTransformer model = Gemma.Answer(TinyChat.Checkpoint, TinyChat.Quick)
            .Fit(TinyChat.Preparation(_ml).Fit(questions).Transform(questions));
        // Every token of the response is given, so that it comes out as it is.
        TextAnswer answer = model.Infill(TinyChat.Row("What is 8 plus 7?"), response);
        Assert.Equal((text, reasoning, toolCalls), (answer.Text, answer.Reasoning, answer.ToolCalls));

        ParsedAnswer parsed = ParsedAnswer.Parse(model.Tokenizer, response);
        TextAnswer refined = model.Refine(TinyChat.Row("What is 8 plus 7?"), response, new GenerationOptions { MaxDenoisingSteps = 1 });
        Assert.Equal(ParsedAnswer.Parse(model.Tokenizer, [], refined.Result.Ids).Text, refined.Text);
        Assert.Equal((text, reasoning), (parsed.Text, parsed.Reasoning));
    }

    [Fact]
    public void Every_way_of_scoring_gives_the_columns()
    {
        IDataView questions = TinyChat.Unanswered(_ml, "What is 8 plus 7?", "What is 2 minus 1?");
        using var model = TinyChat.Preparation(_ml).Append(Gemma.Answer(TinyChat.Checkpoint)).Fit(questions);
        IDataView scored = model.Transform(questions);
        Assert.Equal(["8 plus 7 is 15.", "2 minus 1 is 1."], scored.GetColumn<string>(ChatColumns.Response));
        Assert.Equal(["", ""], scored.GetColumn<string>(ChatColumns.Reasoning));
        Assert.Equal(["", ""], scored.GetColumn<string>(ChatColumns.ToolCalls));
        using var engine = _ml.Model.CreatePredictionEngine<Chat, Parts>(model,
            new PredictionEngineOptions { OwnsTransformer = false });
        Parts parts = engine.Predict(new Chat { Messages = TinyChat.Row("What is 8 plus 7?") });
        Assert.Equal(("8 plus 7 is 15.", "", ""), (parts.Response, parts.Reasoning, parts.ToolCalls));
    }

    [Fact]
    public void An_expected_answer_with_a_thought_matches()
    {
        Row[] rows =
        [
            new() { Messages = Answered(Thinking), Response = "#### 15" },
            new() { Messages = Answered("#### 15"), Response = "#### 15" },
            new() { Messages = Answered(""), Response = "#### 15" },
        ];
        IDataView view = _ml.Data.LoadFromEnumerable(rows);
        AnswerMetrics read = Gemma.Evaluate(view, new AnswerEvaluationOptions
        {
            Match = AnswerMatch.Text,
            Checkpoint = TinyChat.Checkpoint
        });
        Assert.Equal((2, 2, 1), (read.Rows, read.Correct, read.WithoutExpectation));
        Assert.Equal(1, Gemma.Evaluate(view, AnswerMatch.Text).Correct);
    }

    [Fact]
    public void A_model_reads_expected_answers_with_its_own_tokenizer()
    {
        IDataView data = _ml.Data.LoadFromEnumerable(new[]
        {
            new Row { Messages = TinyChat.Row("What is 8 plus 7?"), Response = "<|channel>thought\nadd<channel|>8 plus 7 is 15." },
        });
        data = _ml.Transforms.CopyColumns("Expected", "Response").Append(_ml.Transforms.DropColumns("Response")).Fit(data).Transform(data);
        using var model = TinyChat.Preparation(_ml).Append(Gemma.Answer(TinyChat.Checkpoint)).Fit(data);
        Assert.Equal(1, Gemma.Evaluate(model, data, AnswerMatch.Text, "Expected").Correct);
        Assert.Equal(1, Gemma.Evaluate(model.Transform(data), AnswerMatch.Text, "Expected").Correct);
    }

    [Fact]
    public void Rows_without_an_expected_answer_are_no_result_but_an_error()
    {
        IDataView rows = _ml.Data.LoadFromEnumerable(new[] { new Row { Messages = TinyChat.Row("q"), Response = "a" } });
        Assert.Contains("None of the 1 row has an expected answer", Assert.Throws<ArgumentException>(() => Gemma.Evaluate(rows)).Message);
        IDataView none = _ml.Data.LoadFromEnumerable(Array.Empty<Row>());
        Assert.Contains("There are no rows", Assert.Throws<ArgumentException>(() => Gemma.Evaluate(none)).Message);
    }

    private static string Answered(string answer) => ChatRows.ToJson("q", answer);

    private sealed class Row
    {
        public string Messages { get; set; } = "";

        public string Response { get; set; } = "";
    }

    private sealed class Chat
    {
        public string Messages { get; set; } = "";
    }

    private sealed class Parts
    {
        public string Response { get; set; } = "";

        public string Reasoning { get; set; } = "";

        public string ToolCalls { get; set; } = "";
    }
}
