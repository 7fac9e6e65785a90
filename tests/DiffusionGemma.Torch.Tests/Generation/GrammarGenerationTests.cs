using System.Text;
using System.Text.Json;
using static TorchSharp.torch;

namespace DiffusionGemma;

/// <summary>
/// Answers under grammars through the whole loop: always in the language, whatever the neighbours, the sampler, the limits and the logits.
/// </summary>
public class GrammarGenerationTests : TorchTest
{
    private static readonly GrammarVocabulary Vocabulary = GrammarVocabularies.TinyChat(withBytes: true);

    private readonly DiffusionGemmaModel _model =
        DiffusionGemmaModel.Load(Fixtures.Checkpoint("tiny-chat"), TestDevice.Current, ScalarType.Float32);

    private static int[][] Prompts =>
        [[2, 105, 1294, 107, 418, 981, 525, 478, 388, 1466, 478, 387, 395, 106, 107, 105, 1292, 107], [2, 105, 1294, 107, 418]];

    [Theory]
    [InlineData("""{"type":"object","properties":{"answer":{"type":"integer","minimum":0,"maximum":99}},"required":["answer"]}""")]
    [InlineData("""{"type":"object","properties":{"a":{"type":"string","maxLength":8},"b":{"type":"boolean"},"c":{"type":"number"}}}""")]
    [InlineData("""{"type":"array","items":{"enum":["plus","minus","ü"]},"minItems":1,"maxItems":4}""")]
    [InlineData("""{"type":"string","format":"date"}""")]
    public void Every_answer_is_an_instance(string schema)
    {
        AnswerGrammar grammar = AnswerGrammar.JsonSchema(schema);
        GenerationRequest[] requests = [.. Enumerable.Range(0, 12).Select(seed => new GenerationRequest(Prompts[seed % 2])
        {
            Options = new GenerationOptions
            {
                Grammar = grammar, Vocabulary = Vocabulary, Seed = seed, MaxDenoisingSteps = 4 + seed % 5, MaxNewTokens = 40 + 9 * (
                    seed % 7),
                Sampler = seed % 3 == 0 ? CanvasSampler.BlockRefinement : CanvasSampler.EntropyBound,
                TMin = seed % 4 == 0 ? 0 : null, TMax = seed % 4 == 0 ? 0 : null, TopK = seed % 5 == 0 ? 20 : null, TopP = seed % 6 == 0
                    ? 0.7 : null,
            },
        })];
        foreach ((GenerationRequest request, GenerationResult result) in requests.Zip(
            CanvasGenerator.Generate(_model, requests, batchSize: 5)))
        {
            string text = Text(result.Ids);
            Assert.True(grammar.Accepts(text), $"seed {request.Options!.Seed}: {text}");
            using JsonDocument parsed = JsonDocument.Parse(text);
            Assert.True(result.Ids.Length <= request.Options.MaxNewTokens);
        }
    }

    [Fact]
    public void Neighbours_with_and_without_a_grammar_change_nothing()
    {
        GenerationOptions Options(int seed, AnswerGrammar? grammar) =>
            new()
            {
                Seed = seed, MaxNewTokens = 64, MaxDenoisingSteps = 8, Grammar = grammar, Vocabulary = grammar is null ? null
                : Vocabulary
            };
        AnswerGrammar number = AnswerGrammar.Regex(@"\d{1,3}"), word = AnswerGrammar.OneOf("one", "two", "fifteen");
        GenerationRequest[] requests = [.. Enumerable.Range(0, 9).Select(seed => new GenerationRequest(Prompts[seed % 2])
        {
            Options = Options(seed, (seed % 3) switch { 0 => number, 1 => word, _ => null }),
        })];
        int[][] together = [.. CanvasGenerator.Generate(_model, requests, batchSize: 4).Select(result => result.Ids)];
        for (int n = 0; n < requests.Length; n++)
            Assert.Equal(CanvasGenerator.Generate(_model, new[] { requests[n] })[0].Ids, together[n]);
    }

    /// <summary>The limit may be the answer's own length: it then fills its last canvas to the brim, without an end.</summary>
    [Theory]
    [InlineData(3)]
    [InlineData(31)]
    [InlineData(32)]
    [InlineData(33)]
    [InlineData(50)]
    public void An_answer_may_fill_its_limit(int tokens)
    {
        // Digits are single tokens: so many digits are so many tokens.
        AnswerGrammar grammar = AnswerGrammar.Regex($@"\d{{{tokens}}}");
        Assert.Equal(tokens, Vocabulary.FewestTokens(grammar));
        var options = new GenerationOptions { Grammar = grammar, Vocabulary = Vocabulary, MaxNewTokens = tokens, MaxDenoisingSteps = 4 };
        GenerationResult result = CanvasGenerator.Generate(_model, [Prompts[0]], options)[0];
        Assert.True(grammar.Accepts(Text(result.Ids)), Text(result.Ids));
        Assert.Equal(FinishReason.Length, result.Finish);

        GenerationRequestException fault = Assert.Throws<GenerationRequestException>(
            () => CanvasGenerator.Generate(_model, [Prompts[0]], options with { MaxNewTokens = tokens - 1 }));
        Assert.Contains($"{tokens} tokens", fault.Message, StringComparison.Ordinal);
        Assert.Contains($"MaxNewTokens is {tokens - 1}", fault.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Pinned_tokens_hold_and_those_without_an_answer_are_refused()
    {
        AnswerGrammar grammar = AnswerGrammar.Regex(@"\d{5}");
        int Id(char letter) => Enumerable.Range(0, Vocabulary.Size).First(id => Vocabulary.BytesOf(id).Span.SequenceEqual([(byte)letter]));
        (int seven, int letter) = (Id('7'), Id('a'));
        var options = new GenerationOptions { Grammar = grammar, Vocabulary = Vocabulary, MaxNewTokens = 32, MaxDenoisingSteps = 4 };
        var request = new GenerationRequest(Prompts[0])
        {
            Options = options, Pinned = new Dictionary<int, int>
            {
                [1] = seven, [4] =
            seven
            }
        };
        string text = Text(CanvasGenerator.Generate(_model, new[] { request })[0].Ids);
        Assert.True(grammar.Accepts(text) && text[1] == '7' && text[4] == '7', text);
        foreach ((int at, int id) in new[] { (1, letter), (7, seven) })
        {
            var impossible = request with { Pinned = new Dictionary<int, int> { [at] = id } };
            Assert.Contains("pins", Assert.Throws<GenerationRequestException>(
                () => CanvasGenerator.Generate(_model, new[] { impossible })).Message, StringComparison.Ordinal);
        }
    }

    [Fact]
    public void Options_that_do_not_go_with_a_grammar_are_refused()
    {
        AnswerGrammar grammar = AnswerGrammar.OneOf("a");
        void Refused(string option, GenerationOptions options) => Assert.Contains(
            option, Assert.ThrowsAny<ArgumentException>(() => CanvasGenerator.Generate(_model, [Prompts[0]], options)).Message,
                StringComparison.Ordinal);
        Refused("Vocabulary", new GenerationOptions { Grammar = grammar });
        Refused("EditThreshold", new GenerationOptions
        {
            Grammar = grammar, Vocabulary = Vocabulary, Sampler =
            CanvasSampler.BlockRefinement, EditThreshold = 0.9
        });
        Refused("Vocabulary", new GenerationOptions
        {
            Grammar = grammar, Vocabulary = new GrammarVocabulary(new ReadOnlyMemory<byte>[300_000], new AnswerEnding(1)),
        });
    }

    public override void Dispose()
    {
        _model.Dispose();
        base.Dispose();
        GC.SuppressFinalize(this);
    }

    /// <summary>The answer's text, strictly decoded.</summary>
    private static string Text(int[] ids)
    {
        IEnumerable<int> answer = ids.TakeWhile(id => id is not (GrammarVocabularies.EndOfSequence or GrammarVocabularies.TurnEnd));
        return new UTF8Encoding(false, throwOnInvalidBytes: true).GetString([.. answer.SelectMany(id => Vocabulary.BytesOf(id).ToArray())]);
    }
}
