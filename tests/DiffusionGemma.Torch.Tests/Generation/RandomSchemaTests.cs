using System.Globalization;
using System.Text;
using System.Text.Json;
using Json.Schema;
using static TorchSharp.torch;

namespace DiffusionGemma;

/// <summary>
/// Answers under drawn schemas satisfy them, by a validator that shares no code with grammars: those of a trained model, of random weights,
/// and of logits that all but forbid an answer.
/// </summary>
public sealed class RandomSchemaTests : TorchTest
{
    private const string Variable = "DIFFUSIONGEMMA_SCHEMA_ANSWERS";
    private const int MostTokens = 200;

    private static readonly Json.Schema.EvaluationOptions Strict = new() { RequireFormatValidation = true };
    private static readonly GrammarVocabulary Vocabulary = GrammarVocabularies.TinyChat(withBytes: true);
    private static readonly int[] Prompt = [2, 105, 1294, 107, 418, 981, 525, 478, 388, 1466, 478, 387, 395, 106, 107, 105, 1292, 107];

    /// <summary>Schemas, and answers of each kind of model to each.</summary>
    private static (int Schemas, int Answers) Size => int.TryParse(Environment.GetEnvironmentVariable(Variable),
        CultureInfo.InvariantCulture, out int asked) ? (200, Math.Max((asked + 599) / 600, 1)) : (20, 4);

    [Fact]
    public void Every_answer_satisfies_its_schema()
    {
        using DiffusionGemmaModel trained =
            DiffusionGemmaModel.Load(Fixtures.Checkpoint("tiny-chat"), TestDevice.Current, ScalarType.Float32);
        using DiffusionGemmaModel random =
            DiffusionGemmaModel.Load(Fixtures.Checkpoint("tiny-chat"), TestDevice.Current, ScalarType.Float32);
        Shuffle(random);
        var schemas = new RandomSchemas(seed: 17);
        (int count, int answers) = Size;
        int checkedAnswers = 0;
        for (int n = 0; n < count; n++)
        {
            (string schema, AnswerGrammar grammar, int fewest) = Draw(schemas);
            JsonSchema judge = JsonSchema.FromText(schema);
            foreach (DiffusionGemmaModel model in new[] { trained, random })
                foreach (int[] ids in Generate(model, grammar, fewest, answers)) Check(ids);
            foreach (int[] ids in Hostile(grammar, fewest, answers, seed: n)) Check(ids);

            void Check(int[] ids)
            {
                string text = Text(ids);
                using JsonDocument instance = JsonDocument.Parse(text);
                // The judge counts a letter and its combining marks as one character; JSON Schema, and the grammar, count code points.
                if (new StringInfo(text).LengthInTextElements == text.EnumerateRunes().Count())
                    Assert.True(judge.Evaluate(instance.RootElement, Strict).IsValid, $"{text} is no instance of {schema}");
                Assert.True(grammar.Accepts(text), $"{text} is no text of {schema}");
                checkedAnswers++;
            }
        }
        Assert.Equal(count * answers * 3, checkedAnswers);
        TestContext.Current.TestOutputHelper?.WriteLine($"{checkedAnswers} answers under {count} schemas");
    }

    private static (string Schema, AnswerGrammar Grammar, int Fewest) Draw(RandomSchemas schemas)
    {
        while (true)
        {
            string schema = schemas.Draw();
            try
            {
                AnswerGrammar grammar = AnswerGrammar.JsonSchema(schema);
                if (Vocabulary.FewestTokens(grammar) is var fewest and < MostTokens - 64) return (schema, grammar, fewest);
            }
            catch (GrammarException)
            {
                // No number of the drawn step lies between the drawn bounds.
            }
        }
    }

    private static IEnumerable<int[]> Generate(DiffusionGemmaModel model, AnswerGrammar grammar, int fewest, int answers)
    {
        GenerationRequest[] requests = [.. Enumerable.Range(0, answers).Select(seed => new GenerationRequest(Prompt)
        {
            Options = new GenerationOptions
            {
                Grammar = grammar, Vocabulary = Vocabulary, Seed = seed, MaxDenoisingSteps = 1 + seed % 4,
                MaxNewTokens = Math.Min(fewest + 1 + 20 * (seed % 4), MostTokens),
                Sampler = seed % 3 == 2 ? CanvasSampler.BlockRefinement : CanvasSampler.EntropyBound,
                TMin = seed % 5 == 4 ? 0 : null, TMax = seed % 5 == 4 ? 0 : null, TopK = seed % 4 == 3 ? 10 : null,
            },
        })];
        return CanvasGenerator.Generate(model, requests, batchSize: 16).Select(result => result.Ids);
    }

    /// <summary>The likeliest answer, and drawn ones, where each position is almost sure of a token that no answer holds.</summary>
    private static IEnumerable<int[]> Hostile(AnswerGrammar grammar, int fewest, int answers, int seed)
    {
        TokenAutomaton automaton = Vocabulary.Automaton(grammar);
        int positions = fewest + 16, forbidden = Enumerable.Range(0, Vocabulary.Size).First(id => automaton.Classes[id] < 0);
        var random = new Random(seed);
        float[][] logits = [.. Enumerable.Range(0, positions).Select(_ =>
        {
            float[] row = [.. Enumerable.Range(0, Vocabulary.Size).Select(_ => random.NextSingle() * -60)];
            row[forbidden] = 75;                                                           // a cap of 30 over a temperature of 0.4
            return row;
        })];
        var step = new GrammarStep<float>(automaton, positions);
        for (int i = 0; i < positions; i++) step.Read(i, logits[i]);
        Assert.True(step.Condition(positions, automaton.Start, automaton.Finals()));
        yield return [.. step.Best];
        for (int n = 1; n < answers; n++)
        {
            step.Draw(positions, automaton.Start, i => logits[i], [.. logits.Select(_ => random.NextDouble())], _ => -1);
            yield return [.. step.Sample];
        }
    }

    /// <summary>Noise in place of the table that embeds tokens and makes the logits.</summary>
    private static void Shuffle(DiffusionGemmaModel model)
    {
        using IDisposable quiet = no_grad();
        using var generator = new Generator(3, CPU);
        model.Own(name => name == CheckpointLayout.Embedding);                  // a mapped weight cannot be written to
        model.Stack.Embedding.Tensor!.normal_(0, 0.3, generator);
    }

    private static string Text(int[] ids)
    {
        IEnumerable<int> answer = ids.TakeWhile(id => id is not (GrammarVocabularies.EndOfSequence or GrammarVocabularies.TurnEnd));
        return new UTF8Encoding(false, throwOnInvalidBytes: true).GetString([.. answer.SelectMany(id => Vocabulary.BytesOf(id).ToArray())]);
    }
}
