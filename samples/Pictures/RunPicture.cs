using System.Globalization;
using System.Xml.Linq;

namespace DiffusionGemma.Samples;

/// <summary>Draws a run as SVG: on the left the canvas, a line for each state; on the right the loss, a dot for each step.</summary>
internal static class RunPicture
{
    private const int Width = 1000, Top = 64, RowHeight = 26, CellWidth = 41, Positions = 14, Left = 62, PlotLeft = 700, PlotRight = 980;
    private const string Ink = "#1f2328", Faint = "#8c959f", Settled = "#dafbe1", Blue = "#0969da";
    private static readonly XNamespace Svg = "http://www.w3.org/2000/svg";

    public static XDocument Draw(
        IReadOnlyList<StepRecord> history, string question, IReadOnlyList<CanvasFrame> frames, DiffusionGemmaTokenizer tokenizer)
    {
        int height = Math.Max(Top + (frames.Count * RowHeight) + 34, 280);
        var root = new XElement(Svg + "svg",
            new XAttribute("viewBox", $"0 0 {Width} {height}"), new XAttribute("width", Width), new XAttribute("height", height),
            new XAttribute("font-family", "ui-monospace, SFMono-Regular, Menlo, Consolas, monospace"), new XAttribute("font-size", 12),
            Box(0, 0, Width, height, "#ffffff"));
        root.Add(Canvas(question, frames, tokenizer));
        root.Add(Curve(history, height - 46));
        return new XDocument(root);
    }

    private static IEnumerable<XElement> Canvas(string question, IReadOnlyList<CanvasFrame> frames, DiffusionGemmaTokenizer tokenizer)
    {
        yield return Text(12, 24, $"{question}   the first {Positions} of {frames[0].Ids.Length} canvas positions", Ink);
        yield return Text(12, 46, "settled tokens are green, the others are drawn at random again", Faint);
        for (int row = 0; row < frames.Count; row++)
        {
            int y = Top + (row * RowHeight);
            yield return Text(12, y + 17, row == 0 ? "noise" : $"step {row}", Faint);
            for (int at = 0; at < Positions; at++)
            {
                int x = Left + (at * CellWidth);
                bool settled = frames[row].Settled[at];
                if (settled) yield return Box(x, y, CellWidth - 2, RowHeight - 2, Settled);
                yield return Text(x + 2, y + 17, Piece(tokenizer, frames[row].Ids[at]), settled ? Ink : Faint);
            }
        }
    }

    /// <summary>A token as it fits into a cell: a space as ␣, a new line as ⏎, at most five characters.</summary>
    private static string Piece(DiffusionGemmaTokenizer tokenizer, int id)
    {
        string piece = (tokenizer.TokenOf(id) ?? "").Replace('▁', '␣').Replace("\n", "⏎", StringComparison.Ordinal);
        piece = string.Concat(piece.Select(c => char.IsControl(c) ? '·' : c));
        return piece.Length <= 5 ? piece : piece[..4] + "…";
    }

    private static IEnumerable<XElement> Curve(IReadOnlyList<StepRecord> history, int bottom)
    {
        double highest = Math.Ceiling(history.Max(step => step.DiffusionLoss));
        double X(int step) => PlotLeft + ((PlotRight - PlotLeft) * step / (double)history.Count);
        double Y(double loss) => bottom - ((bottom - Top) * loss / highest);

        yield return Text(PlotLeft - 30, 24, $"loss of {history.Count} LoRA steps, nats a token", Ink);
        yield return Text(PlotLeft - 30, 46, "dots: steps of 8 rows; line: mean of 20", Faint);
        for (int loss = 0; loss <= highest; loss++)
        {
            yield return Line([(PlotLeft, Y(loss)), (PlotRight, Y(loss))], "#d8dee4");
            yield return Text(PlotLeft - 26, (int)Y(loss) + 4, loss.ToString(CultureInfo.InvariantCulture), Faint);
        }
        for (int step = 0; step <= history.Count; step += 100)
            yield return Text((int)X(step) - 9, bottom + 18, step.ToString(CultureInfo.InvariantCulture), Faint);
        foreach (StepRecord step in history)
            yield return Dot(X(step.Step), Y(step.DiffusionLoss));
        yield return Line([.. history.Select(step => (X(step.Step), Y(MeanBefore(history, step.Step))))], Blue, width: 2);
    }

    private static double MeanBefore(IReadOnlyList<StepRecord> history, int step) =>
        history.Skip(Math.Max(0, step - 19)).Take(Math.Min(20, step + 1)).Average(record => record.DiffusionLoss);

    private static XElement Dot(double x, double y) =>
        new(Svg + "circle", At("cx", x), At("cy", y), At("r", 1.4), new XAttribute("fill", "#b6d7fb"));

    private static XElement Line((double X, double Y)[] points, string colour, int width = 1)
    {
        string path = string.Join(' ', points.Select(p => string.Create(CultureInfo.InvariantCulture, $"{p.X:F1},{p.Y:F1}")));
        return new XElement(Svg + "polyline", new XAttribute("points", path), new XAttribute("fill", "none"),
            new XAttribute("stroke", colour), At("stroke-width", width));
    }

    private static XElement Box(int x, int y, int width, int height, string colour) => new(Svg + "rect",
        At("x", x), At("y", y), At("width", width), At("height", height), new XAttribute("rx", 3), new XAttribute("fill", colour));

    private static XElement Text(int x, int y, string text, string colour) =>
        new(Svg + "text", At("x", x), At("y", y), new XAttribute("fill", colour),
            new XAttribute(XNamespace.Xml + "space", "preserve"), text);

    private static XAttribute At(string name, double value) => new(name, value.ToString("0.#", CultureInfo.InvariantCulture));
}
