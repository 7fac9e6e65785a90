using Microsoft.ML;
using Microsoft.ML.Data;

namespace DiffusionGemma.Samples;

/// <summary>Losses and answers of a model on rows that are not trained on.</summary>
/// <param name="Loss">Losses.</param>
/// <param name="Results">A result a question.</param>
internal sealed record Measurement(EvaluationRecord Loss, IReadOnlyList<AnswerResult> Results)
{
    private const int RowsAtOnce = 8;

    /// <summary>The part of the questions that are answered with the expected number.</summary>
    public double ExactMatch => Results.Count == 0 ? 0 : (double)Results.Count(result => result.IsMatch) / Results.Count;

    /// <summary>Measures a model, and shows how far that is.</summary>
    /// <param name="ml">The context.</param>
    /// <param name="name">The work in a few words.</param>
    /// <param name="model">A pipeline that answers.</param>
    /// <param name="packed">Packed rows for the losses.</param>
    /// <param name="questions">Rows to answer; they end with the expected answer.</param>
    /// <param name="count">The number of them; 0: losses alone.</param>
    public static Measurement Make(MLContext ml, string name, TransformerChain<DiffusionGemmaTransformer> model, IDataView packed,
        IDataView questions, int count)
    {
        EvaluationRecord loss;
        using (new Work($"{name}: losses"))
            loss = model.LastTransformer.EvaluateLoss(packed);
        List<AnswerResult> results = [];
        if (count == 0) return new Measurement(loss, results);
        using var work = new Work($"{name}: answers", count);
        for (int first = 0; first < count; first += RowsAtOnce)
        {
            IDataView rest = first == 0 ? questions : ml.Data.SkipRows(questions, first);
            IDataView rows = ml.Data.TakeRows(rest, Math.Min(RowsAtOnce, count - first));
            AnswerMetrics metrics = ml.Transforms.DiffusionGemma.Evaluate(model, rows, AnswerMatch.Number);
            results.AddRange(ml.Data.CreateEnumerable<AnswerResult>(metrics.Results, reuseRowObject: false));
            work.Report(results.Count, $"{results.Count(result => result.IsMatch)} right");
        }
        return new Measurement(loss, results);
    }
}
