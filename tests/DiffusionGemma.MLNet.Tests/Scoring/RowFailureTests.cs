using DiffusionGemma.FineTuning;
using Microsoft.ML;
using Microsoft.ML.Data;

namespace DiffusionGemma.Scoring;

/// <summary>A row that cannot be answered: named, or left empty beside the others' answers.</summary>
public sealed class RowFailureTests
{
    private readonly MLContext _ml = new(seed: 7);

    // Row 1 has no prompt, row 3 is longer than the model; the others are answered.
    private IDataView Rows => _ml.Data.LoadFromEnumerable(Enumerable.Range(0, 6).Select(i => new Prompt
    {
        InputIds = i == 3 ? [.. Enumerable.Repeat(300, 100_000)] : [2, 105, 300 + i], PromptLength = i == 3 ? 100_000 : i == 1 ? 0 : 3,
    }));

    private DiffusionGemmaTransformer Model(RowFailure onFailure, GenerationOptions? generation = null) => _ml.Transforms.DiffusionGemma
        .Answer(TinyChat.Checkpoint, new AnswerOptions { Generation = generation ?? TinyChat.Quick, BatchSize = 2, OnFailure = onFailure }).Fit(Rows);

    [Fact]
    public void By_default_the_row_is_named()
    {
        using DiffusionGemmaTransformer model = Model(RowFailure.Throw);
        var error = Assert.Throws<ChatDataException>(() => model.Transform(Rows).GetColumn<string>("Response").ToArray());
        Assert.Equal(1, error.Row);
        Assert.Contains("row 1 (counted from 0): PromptLength is 0, but InputIds has 3 tokens", error.Message, StringComparison.Ordinal);
        IDataView beyond = _ml.Data.SkipRows(Rows, 2);
        error = Assert.Throws<ChatDataException>(() => model.Transform(beyond).GetColumn<string>("Response").ToArray());
        Assert.Contains("the prompt has 100000 tokens", error.Message, StringComparison.Ordinal);
        Assert.Null(model.GetOutputSchema(Rows.Schema).GetColumnOrNull(ChatColumns.ResponseError));
    }

    [Fact]
    public void By_option_it_is_empty_and_says_why_and_the_others_are_answered_as_ever()
    {
        using DiffusionGemmaTransformer model = Model(RowFailure.EmptyAnswer);
        IDataView scored = model.Transform(Rows);
        string[] errors = [.. scored.GetColumn<string>(ChatColumns.ResponseError)], answers = [.. scored.GetColumn<string>("Response")];
        Assert.Equal([false, true, false, true, false, false], errors.Select(e => e.Length > 0));
        Assert.Contains("PromptLength is 0", errors[1], StringComparison.Ordinal);
        Assert.Contains("the prompt has 100000 tokens; with 32 new ones that is more than the model's", errors[3], StringComparison.Ordinal);
        Assert.Equal(("", 0), (answers[1], scored.GetColumn<int>("Steps").ElementAt(3)));
        using DiffusionGemmaTransformer strict = Model(RowFailure.Throw);
        string[] good = [.. strict.Transform(_ml.Data.LoadFromEnumerable(new[] { 0, 2, 4, 5 }.Select(i => new Prompt { InputIds = [2, 105, 300 + i], PromptLength = 3 }))).GetColumn<string>("Response")];
        Assert.Equal(good, new[] { 0, 2, 4, 5 }.Select(i => answers[i]));

        // Saved and loaded it does the same; and a prediction engine too.
        ITransformer loaded = EstimatorAssert.SaveAndLoad(_ml, model, Rows.Schema);
        Assert.Equal(errors, loaded.Transform(Rows).GetColumn<string>(ChatColumns.ResponseError));
        using var engine = _ml.Model.CreatePredictionEngine<Prompt, Reply>(model, new PredictionEngineOptions { OwnsTransformer = false });
        Assert.Contains("PromptLength is 0", engine.Predict(new Prompt { InputIds = [2, 3], PromptLength = 0 }).ResponseError, StringComparison.Ordinal);
        Assert.Equal("", engine.Predict(new Prompt { InputIds = [2, 105, 300], PromptLength = 3 }).ResponseError);
    }

    [Fact]
    public void Options_out_of_range_are_named()
    {
        void Refused(string name, AnswerOptions options) =>
            Assert.Contains(name, Assert.ThrowsAny<ArgumentException>(() => _ml.Transforms.DiffusionGemma.Answer(TinyChat.Checkpoint, options)).Message, StringComparison.Ordinal);
        Refused("BatchSize", new AnswerOptions { BatchSize = 0 });
        Refused("BatchesAhead", new AnswerOptions { BatchesAhead = 0 });
        Refused("OnFailure", new AnswerOptions { OnFailure = (RowFailure)9 });
        Refused("GenerationOptions.TopP", new AnswerOptions { Generation = new() { TopP = 0 } });
    }

    [Fact]
    public void Infilled_responses_keep_what_is_given()
    {
        using DiffusionGemmaTransformer model = Model(RowFailure.Throw, new() { MaxDenoisingSteps = 12 });
        TextAnswer answer = model.Infill(TinyChat.Row("What is 8 plus 7?"), "8 plus <gap:1> is <gap:2>.");
        Assert.StartsWith("8 plus ", answer.Text, StringComparison.Ordinal);
        Assert.EndsWith(".", answer.Text, StringComparison.Ordinal);
        Assert.Contains(" is ", answer.Text, StringComparison.Ordinal);
        Assert.Equal(FinishReason.End, answer.Result.Finish);
        Assert.StartsWith("8 plus 7 is ", model.Infill(TinyChat.Row("What is 8 plus 7?"), "8 plus 7 is <gap:5>").Text, StringComparison.Ordinal);
        Assert.Throws<ChatException>(() => model.Infill(TinyChat.Row("x"), "a <gap:none> b"));
        string answered = """[{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]""";
        Assert.Contains("ends with the assistant", Assert.Throws<ChatException>(() => model.Infill(answered, "a <gap:1>")).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_refined_draft_is_an_answer()
    {
        using DiffusionGemmaTransformer model = Model(RowFailure.Throw, new() { MaxDenoisingSteps = 12 });
        Assert.NotEmpty(model.Refine(TinyChat.Row("What is 8 plus 7?"), "8 plus 7 is 51.").Text);
        Assert.Throws<ArgumentException>(() => model.Refine(TinyChat.Row("What is 8 plus 7?"), string.Concat(Enumerable.Repeat("word ", 500))));
    }

    private sealed class Prompt
    {
        public int[] InputIds { get; set; } = [];

        public int PromptLength { get; set; }
    }

    private sealed class Reply
    {
        public string Response { get; set; } = "";

        public string ResponseError { get; set; } = "";
    }
}
