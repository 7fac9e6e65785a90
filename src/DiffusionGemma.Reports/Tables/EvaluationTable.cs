using System.Globalization;
using Microsoft.Data.Analysis;

namespace DiffusionGemma;

/// <summary>The evaluations of a run as a table.</summary>
internal static class EvaluationTable
{
    /// <summary>One row an evaluation: step, both losses, and the diffusion loss at each noise level (DiffusionLoss0.05 ...).</summary>
    public static DataFrame Create(IReadOnlyList<EvaluationRecord> evaluations)
    {
        var table = new DataFrame(
            new PrimitiveDataFrameColumn<int>(nameof(EvaluationRecord.Step), evaluations.Select(evaluation => evaluation.Step)),
            Column(nameof(EvaluationRecord.DiffusionLoss), evaluation => evaluation.DiffusionLoss),
            Column(nameof(EvaluationRecord.EncoderLoss), evaluation => evaluation.EncoderLoss));
        for (int level = 0; level < EvaluationRecord.NoiseLevels; level++)
        {
            int at = level;
            string name = nameof(EvaluationRecord.DiffusionLoss)
                + ((level + 0.5) / EvaluationRecord.NoiseLevels).ToString("0.00", CultureInfo.InvariantCulture);
            table.Columns.Add(Column(name, evaluation => evaluation.DiffusionLossByNoise.ElementAtOrDefault(at, double.NaN)));
        }
        return table;

        PrimitiveDataFrameColumn<double> Column(string name, Func<EvaluationRecord, double> value) => new(name, evaluations.Select(value));
    }

    private static double ElementAtOrDefault(this IReadOnlyList<double> values, int index, double otherwise) =>
        index < values.Count ? values[index] : otherwise;
}
