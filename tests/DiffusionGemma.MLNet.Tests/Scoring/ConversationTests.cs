using DiffusionGemma.FineTuning;
using Microsoft.ML;

namespace DiffusionGemma.Scoring;

/// <summary>One conversation whose answer is known in part.</summary>
public sealed class ConversationTests : IDisposable
{
    private const string Answered = """[{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]""";
    private static readonly string Question = TinyChat.Row("What is 8 plus 7?");
    private readonly MLContext _ml = new(seed: 7);
    private readonly DiffusionGemmaTransformer _model;

    public ConversationTests() => _model = _ml.Transforms.DiffusionGemma.Answer(TinyChat.Checkpoint,
        new GenerationOptions { MaxDenoisingSteps = 12 })
        .Fit(_ml.Data.LoadFromEnumerable(new[] { new Prompt() }));

    public void Dispose() => _model.Dispose();

    [Fact]
    public void Gaps_are_filled_with_what_fits_both_sides()
    {
        TextAnswer answer = _model.Infill(Question, "8 plus <gap:1> is <gap:2>.");
        Assert.Equal("8 plus 7 is 15.", answer.Text);
        Assert.Equal(["7", "15"], answer.Gaps);
        Assert.Equal(FinishReason.End, answer.Result.Finish);
        Assert.Equal("<turn|>", DiffusionGemmaTokenizer.Load(TinyChat.Checkpoint).TokenOf(answer.Result.Ids[^1]));
    }

    [Fact]
    public void A_pipeline_that_was_loaded_does_it_too()
    {
        IDataView questions = TinyChat.Unanswered(_ml, "What is 8 plus 7?");
        var fitted = TinyChat.Preparation(_ml).Append(_ml.Transforms.DiffusionGemma.Answer(TinyChat.Checkpoint)).Fit(questions);
        DiffusionGemmaTransformer part = _ml.Transforms.DiffusionGemma.AnsweringPart(EstimatorAssert.SaveAndLoad(_ml, fitted,
            questions.Schema));
        Assert.Equal("8 plus 7 is 15.", part.Infill(Question, "8 plus <gap:1> is <gap:2>.").Text);
        Assert.Equal(fitted.LastTransformer.Checkpoint, part.Checkpoint);
    }

    [Fact]
    public void What_is_given_stays_whatever_the_model_thinks_of_it()
    {
        TextAnswer answer = _model.Infill(Question, "Nine plus<gap:3>makes ⏎ 日本 <gap:1>!");
        Assert.StartsWith("Nine plus", answer.Text, StringComparison.Ordinal);
        Assert.Contains("makes ⏎ 日本 ", answer.Text, StringComparison.Ordinal);
        Assert.EndsWith("!", answer.Text, StringComparison.Ordinal);
        Assert.Equal("8 plus 7 is 15.", _model.Infill(Question, "8 plus 7 is 15.").Text);
    }

    [Fact]
    public void A_response_of_several_canvases_may_have_gaps()
    {
        // Longer than the canvas of 32 tokens, so a gap of the second canvas sees the first as text that is written.
        string given = string.Concat(Enumerable.Repeat("8 plus 7 is 15. ", 5));
        TextAnswer answer = _model.Infill(Question, given + "<gap:2>" + given + "end");
        Assert.StartsWith(given, answer.Text, StringComparison.Ordinal);
        Assert.EndsWith(given + "end", answer.Text, StringComparison.Ordinal);
        Assert.True(answer.Result.StepsPerCanvas.Count > 1);
    }

    [Fact]
    public void At_its_end_a_gap_is_filled_with_so_many_tokens_at_most()
    {
        TextAnswer answer = _model.Infill(Question, "8 plus 7 is <gap:5>");
        Assert.StartsWith("8 plus 7 is 15.", answer.Text, StringComparison.Ordinal);
        Assert.InRange(answer.Result.Ids.Length, 1, InfillText.Parse("8 plus 7 is <gap:5>",
            DiffusionGemmaTokenizer.Load(TinyChat.Checkpoint)).Length);
    }

    [Fact]
    public void What_cannot_be_filled_is_refused()
    {
        Assert.Contains("'<gap:none>' at character 2",
            Assert.Throws<ChatException>(() => _model.Infill(Question, "a <gap:none> b")).Message, StringComparison.Ordinal);
        Assert.Contains("ends with the assistant", Assert.Throws<ChatException>(() => _model.Infill(Answered, "a <gap:1>")).Message,
            StringComparison.Ordinal);
        Assert.Contains("positions", Assert.Throws<GenerationRequestException>(() => _model.Infill(Question, "a <gap:2000>")).Message,
            StringComparison.Ordinal);
        Assert.Contains("TopP", Assert.Throws<ArgumentOutOfRangeException>(() =>
            _model.Infill(Question, "a <gap:1>", new() { TopP = 0 })).Message, StringComparison.Ordinal);
        Assert.Throws<OperationCanceledException>(() => _model.Infill(Question, "a <gap:1>",
            cancellation: new CancellationToken(canceled: true)));
    }

    [Fact]
    public void A_draft_is_where_denoising_starts()
    {
        // A question of which the model knows nothing, one pass, temperature 0: the answer follows from the canvas that it starts from.
        string question = TinyChat.Row("Tell me of the sea.");
        var once = new GenerationOptions { MaxDenoisingSteps = 1, TMin = 0, TMax = 0 };
        string[] drafts = ["The sea is wide.", "Yes, of course, yes.", ""];
        TextAnswer[] answers = [.. drafts.Select(draft => _model.Refine(question, draft, once))];
        Assert.Equal(3, answers.Select(answer => string.Join(",", answer.Result.Ids)).Distinct().Count());
        ChatTokenizer tokenizer = ChatTokenizer.Load(TinyChat.Checkpoint);
        int[] start = [.. tokenizer.Tokenizer.EncodeToIds(drafts[0]), tokenizer.Tokenizer.IdOf("<turn|>")!.Value];
        Assert.Equal(
            CanvasGenerator.Generate(_model.Model, [new GenerationRequest(tokenizer.Encode(question).Ids) { Draft = start }], once)[0].Ids,
                answers[0].Result.Ids);
        // With all its passes a draft with a slip in it is put right.
        Assert.Equal("8 plus 7 is 15.", _model.Refine(Question, "8 plus 7 is 51.").Text);
    }

    [Fact]
    public void A_draft_that_does_not_fit_is_refused()
    {
        Assert.Contains("draft", Assert.Throws<GenerationRequestException>(() =>
            _model.Refine(Question, string.Concat(Enumerable.Repeat("word ", 500)))).Message, StringComparison.Ordinal);
        Assert.Contains("ends with the assistant", Assert.Throws<ChatException>(() => _model.Refine(Answered, "b")).Message,
            StringComparison.Ordinal);
    }

    private sealed class Prompt
    {
        public int[] InputIds { get; set; } = [];

        public int PromptLength { get; set; }
    }
}
