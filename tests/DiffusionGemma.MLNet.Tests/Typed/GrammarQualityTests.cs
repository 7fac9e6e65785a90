using System.Globalization;
using DiffusionGemma.FineTuning;
using Microsoft.ML;

namespace DiffusionGemma.Typed;

/// <summary>A language that a model would have kept to anyway costs it neither right answers nor steps.</summary>
public sealed class GrammarQualityTests
{
    private const string Variable = "DIFFUSIONGEMMA_QUESTIONS";

    private readonly MLContext _ml = new(seed: 3);

    /// <summary>Questions of the arithmetic data set, to which tiny-chat answers in a sentence.</summary>
    private static int Count =>
        int.TryParse(Environment.GetEnvironmentVariable(Variable), CultureInfo.InvariantCulture, out int asked) ? asked : 48;

    [Fact]
    public void Answers_are_as_often_right_as_free_ones_in_as_many_steps()
    {
        IDataView questions = TinyChat.Questions(_ml, Count);
        IDataView prompts = TinyChat.Preparation(_ml).Fit(questions).Transform(questions);
        using DiffusionGemmaTransformer model = _ml.Transforms.DiffusionGemma.Answer(TinyChat.Checkpoint, batchSize: 16).Fit(prompts);
        AnswerMetrics free = Measure(null), sentence = Measure(AnswerGrammar.Regex(@"[A-Za-z0-9 ,\-]{1,60}\."));
        string figures = $"{free.Rows} questions: free {free.Correct} right in {free.Steps} steps, "
            + $"under the grammar {sentence.Correct} in {sentence.Steps}";
        TestContext.Current.TestOutputHelper?.WriteLine(figures);
        Assert.True(free.ExactMatch > 0.8, figures);                                              // it was tuned for these
        Assert.True(sentence.Correct >= free.Correct - Math.Max(1, Count / 100), figures);
        Assert.True(sentence.Steps <= 1.5 * free.Steps, figures);

        AnswerMetrics Measure(AnswerGrammar? grammar) => _ml.Transforms.DiffusionGemma.Evaluate(
            model.Transform(prompts, model.Options with { Generation = new GenerationOptions { Grammar = grammar } }),
            new AnswerEvaluationOptions { Match = AnswerMatch.Pattern, Pattern = @"-?\d+" });
    }
}
