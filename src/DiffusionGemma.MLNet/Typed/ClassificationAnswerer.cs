using Microsoft.ML;
using Microsoft.ML.Runtime;

namespace DiffusionGemma;

/// <summary>Classifies texts by the probabilities of labels as answers.</summary>
/// <param name="answering">Owns the model.</param>
/// <param name="plan">Labels, columns and prompt.</param>
/// <param name="options">How to answer, the grammar of the labels included.</param>
/// <param name="context">Names the transformer in errors.</param>
internal sealed class ClassificationAnswerer(
    DiffusionGemmaTransformer answering, ClassificationPlan plan, AnswerOptions options, IExceptionContext context) : IRowAnswerer
{
    public AnswerOptions Options => options;

    public DiffusionGemmaTokenizer Tokenizer => answering.Tokenizer;

    public IReadOnlyList<DataViewSchema.DetachedColumn> Outputs { get; } = plan.Outputs(options);

    public DataViewSchema.Column[] FindInputs(DataViewSchema schema) => [TypedColumn.Text(plan.InputColumn).FindIn(schema, context)];

    public Func<Question> ReadQuestion(DataViewRow row, DataViewSchema.Column[] inputs) =>
        TextQuestion.Reader(row, inputs[0], plan.Prompt,
            answering.Text.MakeTokenizer(new ChatTokenizerOptions { EscapeSpecialTokens = plan.EscapesSpecialTokens }));

    public IReadOnlyList<Answer> Answer(IReadOnlyList<Question> questions) => plan.Scoring == LabelScoring.RandomCanvases
        ? answering.ScoreLabels(questions, options, plan.Canvases) : answering.Answer(questions, options);

    public Delegate MakeGetter(int output, Func<Answer> answer) => output switch
    {
        0 => Getters.Value(() => Predicted(Scores(answer()))),
        1 => Getters.Vector(() => Scores(answer())),
        _ => Getters.Text(() => answer().Error),
    };

    /// <summary>The key of the largest score, of equal ones the first; 0 where the row has none.</summary>
    private static uint Predicted(float[] scores)
    {
        int best = 0;
        for (int label = 1; label < scores.Length; label++)
            if (scores[label] > scores[best]) best = label;
        return float.IsNaN(scores[best]) ? 0 : (uint)best + 1;
    }

    /// <summary>The probabilities of the labels; NaN where the row could not be classified.</summary>
    private float[] Scores(Answer answer) => answer.LabelScores.Count > 0
        ? [.. answer.LabelScores.Select(score => (float)score)] : [.. Enumerable.Repeat(float.NaN, plan.Labels.Count)];
}
