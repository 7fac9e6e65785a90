using static TorchSharp.torch;

namespace DiffusionGemma;

/// <summary>Probabilities of labels from canvases of random tokens.</summary>
public sealed class LabelScorerTests : TorchTest
{
    private static readonly GrammarVocabulary Vocabulary = GrammarVocabularies.TinyChat(withBytes: true);
    private static readonly int[] Prompt = [2, 105, 1294, 107, 418, 981, 525, 478, 388, 1466, 478, 387, 395, 106, 107, 105, 1292, 107];

    private readonly DiffusionGemmaModel _model =
        DiffusionGemmaModel.Load(Fixtures.Checkpoint("tiny-chat"), TestDevice.Current, ScalarType.Float32);

    private static GenerationOptions Options(params string[] labels) =>
        new() { Grammar = AnswerGrammar.OneOf(labels), Vocabulary = Vocabulary, Seed = 5 };

    /// <summary>A canvas's share is what the first pass of an ordinary answer finds on it.</summary>
    [Fact]
    public void One_canvas_is_the_first_pass_of_an_answer()
    {
        GenerationOptions options = Options("8 plus 7 is 15.", "8 plus 7 is 16.", "8 plus", "fifteen");
        double[] scores = LabelScorer.Score(_model, [Prompt], options, canvases: 1)[0]!;
        GenerationOptions once = options with { TMin = 0, TMax = 0, MaxDenoisingSteps = 1 };
        GenerationResult result = CanvasGenerator.Generate(_model, [Prompt], once)[0];
        Assert.Equal(result.LabelScores, scores);
        Assert.Equal(1, scores.Sum(), 1e-12);
        Assert.All(scores, score => Assert.InRange(score, 0, 1));
    }

    [Fact]
    public void A_score_is_the_mean_over_canvases_and_does_not_depend_on_neighbours()
    {
        GenerationOptions options = Options("one", "two", "fifteen");
        int[] other = [2, 105, 1294, 107, 418];
        double[] alone = LabelScorer.Score(_model, [Prompt], options, canvases: 6)[0]!;
        double[]?[] both = [.. LabelScorer.Score(_model, [other, Prompt, other], options, canvases: 6, batchSize: 2)];
        // float32 rounds otherwise beside other rows.
        for (int label = 0; label < alone.Length; label++)
        {
            Assert.Equal(alone[label], both[1]![label], 1e-4);
            Assert.Equal(both[0]![label], both[2]![label], 1e-4);
        }
        Assert.NotEqual(alone, LabelScorer.Score(_model, [Prompt], options, canvases: 1)[0]);
    }

    [Fact]
    public void What_cannot_be_scored_is_refused()
    {
        Assert.Contains("OneOf", Assert.Throws<ArgumentException>(() => LabelScorer.Score(
            _model, [Prompt], new GenerationOptions { Grammar = AnswerGrammar.Regex("a"), Vocabulary = Vocabulary })).Message,
            StringComparison.Ordinal);
        Assert.Throws<ArgumentException>(() => LabelScorer.Score(
            _model, [Prompt], Options("a") with { Grammar = AnswerGrammar.OneOf("a").WithThought(98, 99) }));
        string text = new('7', 33);
        GrammarException fault = Assert.Throws<GrammarException>(() => LabelScorer.Score(_model, [Prompt], Options("a", text)));
        Assert.Equal(text, fault.Path);
        Assert.Contains("takes 33 tokens, and a canvas has 32", fault.Message, StringComparison.Ordinal);
        Assert.Contains("is empty", Assert.Throws<GenerationRequestException>(
            () => LabelScorer.Score(_model, [Prompt, []], Options("a", "b"))).Message, StringComparison.Ordinal);

        var failed = new List<int>();
        double[]?[] some = [.. LabelScorer.Score(_model, [[], Prompt], Options("a", "b"),
            callbacks: new GenerationCallbacks { Failed = (index, _) => failed.Add(index) })];
        Assert.Equal([0], failed);
        Assert.Null(some[0]);
        Assert.NotNull(some[1]);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void A_label_that_no_tokens_spell_is_named(bool thinks)
    {
        // Without byte tokens: no token has these characters.
        GrammarVocabulary vocabulary = GrammarVocabularies.TinyChat(withBytes: false);
        var grammar = AnswerGrammar.OneOf("one", "日本");
        GrammarException fault = Assert.Throws<GrammarException>(() => vocabulary.Prepare(thinks ? grammar.WithThought(98, 99) : grammar));
        Assert.Equal("日本", fault.Path);
        Vocabulary.Prepare(grammar);
        Assert.Equal(2, Vocabulary.LabelTokens(AnswerGrammar.OneOf("77", "7")).Max());
    }

    public override void Dispose()
    {
        _model.Dispose();
        base.Dispose();
    }
}
