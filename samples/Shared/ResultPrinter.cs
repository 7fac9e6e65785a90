using System.Globalization;
using Spectre.Console;

namespace DiffusionGemma.Samples;

/// <summary>Prints a table of before and after, and a curve of the loss.</summary>
internal static class ResultPrinter
{
    private const int Height = 8;
    private const int Width = 64;

    /// <summary>Losses, exact match and a few answers, before and after.</summary>
    public static void PrintTable(Measurement before, Measurement after, IReadOnlyList<string> questions)
    {
        Table table = new Table().AddColumns("", "before", "after");
        table.AddRow("held-out diffusion loss", Number(before.Loss.DiffusionLoss), Number(after.Loss.DiffusionLoss));
        table.AddRow("held-out encoder loss", Number(before.Loss.EncoderLoss), Number(after.Loss.EncoderLoss));
        if (before.Results.Count > 0)
        {
            table.AddRow("right answers", Part(before), Part(after));
            for (int i = 0; i < Math.Min(questions.Count, before.Results.Count); i++)
                table.AddRow(new Text(questions[i]), new Text(before.Results[i].Response), new Text(after.Results[i].Response));
        }
        AnsiConsole.Write(table);
    }

    /// <summary>The loss of a run, each column the mean of a few steps.</summary>
    public static void PrintCurve(IReadOnlyList<StepRecord> history)
    {
        if (history.Count == 0) return;
        int columns = Math.Min(Width, history.Count);
        double[] losses = [.. Enumerable.Range(0, columns).Select(column =>
        {
            int first = column * history.Count / columns, end = (column + 1) * history.Count / columns;
            return history.Skip(first).Take(end - first).Average(step => step.Loss);
        })];
        double least = losses.Min(), most = losses.Max(), range = Math.Max(most - least, 1e-9);
        int[] rows = [.. losses.Select(loss => (int)Math.Round((most - loss) / range * (Height - 1)))];
        Console.WriteLine("training loss");
        for (int row = 0; row < Height; row++)
        {
            string label = row == 0 ? Number(most) : row == Height - 1 ? Number(least) : "";
            Console.WriteLine($"{label,8} | {new string([.. rows.Select(at => at == row ? '*' : ' ')])}");
        }
        Console.WriteLine($"{"",8} +{new string('-', columns + 1)} step {history.Count}");
    }

    private static string Number(double value) => value.ToString("F3", CultureInfo.InvariantCulture);

    private static string Part(Measurement measured) => string.Create(CultureInfo.InvariantCulture,
        $"{measured.Results.Count(result => result.IsMatch)} of {measured.Results.Count} ({100 * measured.ExactMatch:F0} %)");
}
