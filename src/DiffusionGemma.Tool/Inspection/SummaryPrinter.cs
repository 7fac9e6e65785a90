using System.Globalization;
using Spectre.Console;

namespace DiffusionGemma;

/// <summary>A data set's lengths and canvases as bars, and the rows that training would cut or leave out.</summary>
internal static class SummaryPrinter
{
    private const int Bars = 16;

    public static void Print(IAnsiConsole screen, ChatDataSummary summary)
    {
        screen.Write(new Rule("tokens a row") { Justification = Justify.Left });
        int width = Math.Max(1, (summary.Lengths.Max - summary.Lengths.Min + Bars) / Bars);
        var lengths = new BarChart { Width = 80 };
        foreach ((int from, int to, int rows) in summary.Lengths.Ranges(width))
            lengths.AddItem(string.Create(CultureInfo.InvariantCulture, $"{from,5} to {to,5}"), rows, from >= summary.MaxLength ? Color.Red
                : Color.Green);
        Show(lengths, summary.Lengths);

        screen.Write(new Rule($"canvases of {summary.CanvasLength} a row") { Justification = Justify.Left });
        var canvases = new BarChart { Width = 80 };
        foreach ((int count, int rows) in summary.Canvases.Rows)
            canvases.AddItem(count.ToString(CultureInfo.InvariantCulture), rows, Color.Aqua);
        Show(canvases, summary.Canvases);

        var table = new Table().AddColumns("rows", "count", "share");
        Add("all", summary.Rows);
        Add("to train on", summary.TrainedRows);
        Add($"of these cut short at {summary.MaxLength} tokens", summary.CutRows);
        Add("left out: the cut takes the whole answer", summary.LostRows);
        Add("left out: no answer", summary.UnansweredRows);
        Add("left out: blank answer", summary.EmptyAnswerRows);
        screen.Write(table);
        screen.WriteLine(string.Create(CultureInfo.InvariantCulture,
            $"{summary.SupervisedTokens:N0} supervised tokens; {summary.CutTokens:N0} tokens cut off"));
        foreach (string warning in summary.Warnings) screen.WriteLine($"! {warning}");

        void Show(BarChart chart, RowHistogram histogram)
        {
            if (histogram.Count > 0) screen.Write(chart);               // a chart without bars cannot be drawn
            screen.WriteLine(histogram.Count > 0 ? histogram.ToString() : "no rows");
        }

        void Add(string name, int rows) => table.AddRow(
            name, rows.ToString(CultureInfo.InvariantCulture),
                string.Create(CultureInfo.InvariantCulture, $"{(summary.Rows == 0 ? 0 : 100.0 * rows / summary.Rows):F1} %"));
    }
}
