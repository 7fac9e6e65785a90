using DiffusionGemma.FineTuning;
using Microsoft.ML;
using Microsoft.ML.Data;

namespace DiffusionGemma.Typed;

/// <summary>Answering under a grammar of the model's options, in views, one conversation, and after saving.</summary>
public sealed class SavedGrammarTests
{
    private readonly MLContext _ml = new(seed: 3);

    private DiffusionGemmaCatalog Gemma => _ml.Transforms.DiffusionGemma;

    [Theory]
    [InlineData(GrammarKind.JsonSchema, """{"type":"object","properties":{"sum":{"type":"integer","minimum":0,"maximum":999}}}""")]
    [InlineData(GrammarKind.Regex, @"\d{1,3} apples")]
    [InlineData(GrammarKind.OneOf, """["one","two","fifteen"]""")]
    public void A_fine_tuned_model_keeps_its_grammar(GrammarKind kind, string source)
    {
        AnswerGrammar grammar = AnswerGrammar.Create(kind, source, new GrammarOptions { MostStates = 5_000 });
        IDataView questions = TinyChat.Questions(_ml, 4);
        var pipeline = TinyChat.Preparation(_ml).Append(
            Gemma.FineTune(TinyChat.Checkpoint, TinyChat.Lora, TinyChat.Quick with { Grammar = grammar }));
        var fitted = pipeline.Fit(questions);
        ITransformer loaded = EstimatorAssert.SaveAndLoad(_ml, fitted, questions.Schema);
        DiffusionGemmaTransformer part = Gemma.AnsweringPart(loaded);
        Assert.Equal((kind, source), (part.Generation.Grammar!.Kind, part.Generation.Grammar.Source));
        string[] answers = [.. loaded.Transform(questions).GetColumn<string>("Response")];
        Assert.Equal(4, answers.Length);
        Assert.All(answers, answer => Assert.True(grammar.Accepts(answer), answer));
        // Other options for one view: free again.
        IDataView free = Gemma.Score(loaded, questions, options => options with { Generation = TinyChat.Quick });
        Assert.Contains(free.GetColumn<string>("Response"), answer => !grammar.Accepts(answer));
    }

    [Fact]
    public void Gaps_and_drafts_obey_the_grammar()
    {
        using DiffusionGemmaTransformer model = Gemma.Answer(TinyChat.Checkpoint, new GenerationOptions { MaxDenoisingSteps = 6 })
            .Fit(TinyChat.Preparation(_ml).Fit(TinyChat.Questions(_ml, 1)).Transform(TinyChat.Questions(_ml, 1)));
        string question = TinyChat.Row("What is 8 plus 7?");
        var json = new GenerationOptions
        {
            Grammar = AnswerGrammar.JsonSchema("""
                {"type":"object","required":["a","b"],
                 "properties":{"a":{"type":"integer","minimum":10,"maximum":99},"b":{"enum":["yes","no"]}}}
                """),
        };
        TextAnswer answer = model.Infill(question, "{\"a\":<gap:2>,\"b\":\"no\"}", json);
        Assert.Matches("^\\{\"a\":[1-9][0-9],\"b\":\"no\"\\}$", answer.Text);
        Assert.Equal(2, answer.Gaps[0].Length);
        Assert.True(json.Grammar.Accepts(model.Refine(question, "the sum is 15", json).Text));

        // No answer has a letter there: refused before the first pass.
        GenerationRequestException fault = Assert.Throws<GenerationRequestException>(
            () => model.Infill(question, "{\"a\":x<gap:1>,\"b\":\"no\"}", json));
        Assert.Contains("pins", fault.Message, StringComparison.Ordinal);
        Assert.Contains("MaxNewTokens is 2", Assert.Throws<GenerationRequestException>(
            () => model.Refine(question, "15", json with { MaxNewTokens = 2 })).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_grammar_that_is_too_long_for_the_options_is_refused_at_once()
    {
        var options = new GenerationOptions { Grammar = AnswerGrammar.Regex(@"\d{40}"), MaxNewTokens = 32 };
        string message = Assert.Throws<ArgumentException>(() => Gemma.Answer(TinyChat.Checkpoint, options)).Message;
        Assert.Contains("40 tokens", message, StringComparison.Ordinal);
        Assert.Contains("MaxNewTokens is 32", message, StringComparison.Ordinal);
        Assert.Throws<ArgumentException>(() => Gemma.FineTune(TinyChat.Checkpoint, TinyChat.Lora, options));
    }
}
