using DiffusionGemma.FineTuning;
using Microsoft.ML;

namespace DiffusionGemma.Evaluation;

public sealed class AnswerEvaluationTests
{
    private readonly MLContext _ml = new(seed: 7);

    [Theory]
    [InlineData("8+7=15\n#### 15", "it is\n#### 15", true)]
    [InlineData("#### 1,234", "#### 1234", true)]
    [InlineData("#### 1234", "#### $1,234.00", true)]
    [InlineData("#### -5", "#### -5.", true)]
    [InlineData("#### 5", "#### -5", false)]
    [InlineData("#### 0.5", "#### .50", true)]
    [InlineData("15", "#### 15", true)]
    [InlineData("#### 15", "15", false)]
    [InlineData("#### 15", "#### 1\n#### 15", true)]
    [InlineData("#### 15", "#### 15\n#### 1", false)]
    [InlineData("#### 15", "#### ", false)]
    [InlineData("no number", "no number", false)]
    [InlineData("#### 15", "#### 1.5.1", false)]
    [InlineData("#### 1,000", "#### 1000.0", true)]
    [InlineData("#### 1000", "#### 1,000 eggs", true)]
    [InlineData("#### 3", "#### $3.", true)]
    [InlineData("#### -$3", "#### $-3", true)]
    [InlineData("#### 0", "#### -0.00", true)]
    [InlineData("#### 12345678901234567890", "#### 12345678901234567891", false)]
    [InlineData("-1,5", "#### -15", false)]
    public void Numbers_are_compared_as_numbers(string expected, string response, bool right) =>
        Assert.Equal(right ? 1 : 0, Evaluate(new(), (expected, response)).Correct);

    [Fact]
    public void Texts_are_compared_without_the_space_around_them()
    {
        var text = new AnswerEvaluationOptions { Match = AnswerMatch.Text };
        Assert.Equal(2, Evaluate(text, ("Paris", " Paris\n"), ("a b", "a b"), ("Paris", "paris"), ("a b", "a  b")).Correct);
        Assert.Equal(3, Evaluate(text with { IgnoreCase = true }, ("Paris", " Paris\n"), ("a b", "a b"), ("Paris", "paris"),
            ("a b", "a  b")).Correct);
    }

    [Fact]
    public void A_pattern_says_what_is_compared()
    {
        var pattern = new AnswerEvaluationOptions { Match = AnswerMatch.Pattern, Pattern = @"answer: (\w+)" };
        Assert.Equal(1, Evaluate(pattern, ("answer: b", "answer: a, no, answer: b"), ("answer: b", "b"), ("b", "answer: b")).Correct);
        Assert.Equal(1, Evaluate(pattern with { Pattern = "[A-D]" }, ("B", "I say B")).Correct);
        Assert.Throws<ArgumentException>(() => Evaluate(pattern with { Pattern = null }, ("a", "a")));
        Assert.Throws<ArgumentException>(() => Evaluate(pattern with { Match = AnswerMatch.Text }, ("a", "a")));
        Assert.ThrowsAny<ArgumentException>(() => Evaluate(pattern with { Pattern = "(" }, ("a", "a")));
    }

    [Fact]
    public void Fields_are_counted_one_by_one()
    {
        var fields = new AnswerEvaluationOptions { Match = AnswerMatch.Fields };
        AnswerMetrics metrics = Evaluate(fields,
            ("""{"a":1,"b":{"c":"x","d":null},"e":[1,2]}""", """{"e":[1,2.0],"b":{"c":"x"},"a":1.00}"""),
            ("""{"a":1,"b":{"c":"x"}}""", """{"a":2,"b":{"c":"x"},"f":true}"""),
            ("""{"a":10}""", "none"));
        Assert.Equal(1, metrics.Correct);
        Assert.Equal([new("a", 3, 1), new("b.c", 2, 2), new("e", 1, 1), new FieldMetrics("f", 1, 0)], metrics.Fields);
        Assert.Equal(1 / 3.0, metrics.Fields[0].Accuracy);
        Assert.Contains("no JSON object", _ml.Data.CreateEnumerable<AnswerResult>(metrics.Results, false).Last().Reason,
            StringComparison.Ordinal);
        Assert.Empty(Evaluate(new() { Match = AnswerMatch.Text }, ("a", "a")).Fields);
    }

    /// <summary>Half a surrogate pair, written as an escape, is well-formed JSON and no text.</summary>
    [Theory]
    [InlineData("""{"a":"\ud800"}""")]
    [InlineData("""{"\ud800":1}""")]
    [InlineData("""{"a":[{"\ud800":1}]}""")]
    public void An_answer_that_is_no_text_has_no_fields(string answer)
    {
        AnswerMetrics metrics = Evaluate(new AnswerEvaluationOptions { Match = AnswerMatch.Fields }, ("""{"a":1}""", answer));
        Assert.Equal([new("a", 1, 0)], metrics.Fields);
        Assert.Contains("no JSON object", _ml.Data.CreateEnumerable<AnswerResult>(metrics.Results, false).Single().Reason,
            StringComparison.Ordinal);
    }

    [Fact]
    public void The_last_turn_is_what_is_expected_and_results_come_row_by_row()
    {
        Row[] rows =
        [
            new() { Messages = Chat("q", "#### 4"), Response = "#### 4", TokensPerForward = 2, Steps = 3,
                ResponseIds = [1, 2, 3, 4, 5, 6] },
            new() { Messages = """[{"role": "user", "content": "q"}]""", Response = "#### 4" },
            new() { Messages =
                """[{"role": "user", "content": "q"}, {"role": "assistant", "content": [{"type": "text", "text": "#### "},"""
                    + """ {"type": "text", "text": "5"}]}]""", ResponseError = "too long" },
        ];
        AnswerMetrics metrics = _ml.Transforms.DiffusionGemma.Evaluate(_ml.Data.LoadFromEnumerable(rows));
        Assert.Equal((2, 1, 1, 1, 0.5), (metrics.Rows, metrics.Correct, metrics.Failed, metrics.WithoutExpectation, metrics.ExactMatch));
        Assert.Equal((6L, 3L, 2.0), (metrics.Tokens, metrics.Steps, metrics.TokensPerForward));
        AnswerResult[] results = [.. _ml.Data.CreateEnumerable<AnswerResult>(metrics.Results, reuseRowObject: false)];
        Assert.Equal([0L, 2L], results.Select(r => r.Row));
        Assert.Equal(("#### 4", "4", "4", true, 3, ""), (results[0].Expected, results[0].ExpectedKey, results[0].ResponseKey,
            results[0].IsMatch, results[0].Steps, results[0].Reason));
        Assert.Equal(("#### 5", "5", "", false, "too long"),
            (results[1].Expected, results[1].ExpectedKey, results[1].ResponseKey, results[1].IsMatch, results[1].Reason));
        Assert.Contains("exact match 1 of 2 = 50.0 %", metrics.ToString(), StringComparison.Ordinal);
        Assert.Equal(1, metrics.Answered);
    }

    [Fact]
    public void Why_a_row_cannot_be_right_is_told()
    {
        string[] Reasons(AnswerEvaluationOptions options, params (string, string)[] rows) =>
            [.. _ml.Data.CreateEnumerable<AnswerResult>(Evaluate(options, rows).Results, reuseRowObject: false)
                .Select(result => result.Reason)];
        Assert.Equal(["", "the answer has no number after '####'", "the expectation has no number after '####'", ""],
            Reasons(new(), ("#### 1", "#### 2"), ("#### 1", "one"), ("x", "#### 1"), ("#### 1", "#### 1")));
        Assert.Equal(["the answer has nothing that the pattern matches"],
            Reasons(new() { Match = AnswerMatch.Pattern, Pattern = "[0-9]+" }, ("1", "one")));
        var slow = new AnswerEvaluationOptions { Match = AnswerMatch.Pattern, Pattern = "^(a+)+$" };
        Assert.Contains("row 0 (counted from 0): AnswerEvaluationOptions.Pattern takes more than",
            Assert.Throws<ChatDataException>(() => Evaluate(slow, (new string('a', 40) + "!", "a"))).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_model_is_held_against_data_row_by_row_and_a_row_that_it_cannot_answer_is_wrong()
    {
        string[] rows = [Chat("What is 8 plus 7?", "8 plus 7 is 15."), "[]", Chat("What is 1 plus 1?", "Who knows?"),
            Chat(string.Concat(Enumerable.Repeat("word ", 1200)), "8 plus 7 is 15.")];
        IDataView data = _ml.Data.LoadFromEnumerable(rows.Select(messages =>
            new Chats { Messages = messages, Expected = "8 plus 7 is 15." }));
        using var model = TinyChat.Preparation(_ml).Append(_ml.Transforms.DiffusionGemma.Answer(TinyChat.Checkpoint, batchSize: 2))
            .Fit(data);
        AnswerMetrics metrics = _ml.Transforms.DiffusionGemma.Evaluate(model, data, AnswerMatch.Text, "Expected");
        Assert.Equal((4, 1, 2, 2), (metrics.Rows, metrics.Correct, metrics.Answered, metrics.Failed));
        AnswerResult[] results = [.. _ml.Data.CreateEnumerable<AnswerResult>(metrics.Results, reuseRowObject: false)];
        Assert.Equal([true, false, false, false], results.Select(result => result.IsMatch));
        Assert.Equal(["", "'messages' is empty", "", "the prompt has"],
            results.Select(result => result.Reason.Length == 0 ? ""
            : result.Reason[..Math.Min(result.Reason.Length, result.Row == 1 ? 19 : 14)]));
        Assert.True(metrics.Tokens > 0 && metrics.Steps == results.Sum(result => result.Steps) && metrics.Seconds > 0
            && metrics.TokensPerSecond > 0);
        Assert.Equal(RowFailure.Throw, model.LastTransformer.Options.OnFailure);
    }

    [Fact]
    public void Missing_columns_and_broken_rows_are_named()
    {
        IDataView unscored = _ml.Data.LoadChatFromEnumerable([[new ConversationMessage("user", "q")]]);
        Assert.Contains("'Response'", Assert.Throws<ArgumentException>(() => _ml.Transforms.DiffusionGemma.Evaluate(unscored)).Message,
            StringComparison.Ordinal);
        IDataView rows = _ml.Data.LoadFromEnumerable(new[] { new Row { Messages = "{" } });
        Assert.Contains("row 0", Assert.Throws<ChatDataException>(() => _ml.Transforms.DiffusionGemma.Evaluate(rows)).Message,
            StringComparison.Ordinal);
        Assert.Contains("'Nowhere'", Assert.Throws<ArgumentException>(() =>
            _ml.Transforms.DiffusionGemma.Evaluate(rows, AnswerMatch.Text, "Nowhere")).Message, StringComparison.Ordinal);
    }

    private AnswerMetrics Evaluate(AnswerEvaluationOptions options, params (string Expected, string Response)[] rows) =>
        _ml.Transforms.DiffusionGemma.Evaluate(
        _ml.Data.LoadFromEnumerable(rows.Select(r => new Plain { Expected = r.Expected, Response = r.Response })),
            options with { ExpectedColumn = "Expected" });

    private static string Chat(string question, string answer) =>
        System.Text.Json.JsonSerializer.Serialize(new[] { new { role = "user", content = question },
            new { role = "assistant", content = answer } });

    private sealed class Chats
    {
        public string Messages { get; set; } = "";

        public string Expected { get; set; } = "";
    }

    private sealed class Plain
    {
        public string Expected { get; set; } = "";

        public string Response { get; set; } = "";
    }

    private sealed class Row
    {
        public string Messages { get; set; } = "";

        public string Response { get; set; } = "";

        public float TokensPerForward { get; set; }

        public int Steps { get; set; }

        public int[] ResponseIds { get; set; } = [];

        public string ResponseError { get; set; } = "";
    }
}
