using ScottPlot;
using ScottPlot.Plottables;

namespace DiffusionGemma;

/// <summary>One chart of the figure: curves over the steps of a run.</summary>
internal sealed class CurvePanel
{
    private const float RawWidth = 1, SmoothWidth = 2.5f, PointSize = 5;
    private bool _isEmpty = true;

    public CurvePanel(string title, string unit)
    {
        Plot.Title(title, 15);
        Plot.XLabel("step", 12);
        Plot.YLabel(unit, 12);
    }

    public Plot Plot { get; } = new();

    /// <summary>Draws the values and, over them, their smoothed curve.</summary>
    public void AddSmoothed(double[] steps, double[] values, double smoothing, Color color)
    {
        bool isSmoothed = smoothing > 0 && values.Length > 2;
        AddLine(steps, values, isSmoothed ? color.WithAlpha(0.35) : color, RawWidth, isSmoothed ? "raw" : null);
        if (isSmoothed) AddLine(steps, Smoother.Smooth(values, smoothing), color, SmoothWidth, "smoothed");
    }

    /// <summary>Draws a line, with a gap where values are not finite and a red cross at the bottom for each of them.</summary>
    public void AddLine(double[] steps, double[] values, Color color, float width, string? legend = null)
    {
        string text = legend ?? "";
        foreach ((double[] x, double[] y) in CurveSegments.Finite(steps, values))
        {
            Scatter line = Plot.Add.Scatter(x, y, color);
            (line.LineWidth, line.MarkerSize, line.LegendText) = (width, x.Length == 1 ? PointSize : 0, text);
            (text, _isEmpty) = ("", false);                     // one entry in the legend for all parts
        }
    }

    /// <summary>Draws points joined by a thin line, for values that exist at some steps only.</summary>
    public void AddPoints(double[] steps, double[] values, Color color, string legend)
    {
        string text = legend;
        foreach ((double[] x, double[] y) in CurveSegments.Finite(steps, values))
        {
            Scatter points = Plot.Add.Scatter(x, y, color);
            (points.LineWidth, points.MarkerSize, points.LegendText) = (RawWidth, PointSize, text);
            (text, _isEmpty) = ("", false);
        }
    }

    /// <summary>Marks the steps whose value is not finite: they have no place on the axis.</summary>
    public void MarkNotFinite(double[] steps, double[] values)
    {
        double[] at = CurveSegments.NotFinite(steps, values);
        if (at.Length == 0) return;
        Color red = Colors.Red;
        for (int i = 0; i < at.Length; i++)
        {
            VerticalLine line = Plot.Add.VerticalLine(at[i], 1, red, LinePattern.Dotted);
            line.LegendText = i == 0 ? $"not finite ({at.Length})" : "";
        }
        _isEmpty = false;
    }

    /// <summary>Fits the axes and shows the legend; without a curve, says so.</summary>
    /// <param name="whenEmpty">Shown in place of curves.</param>
    /// <param name="legendBeside">True to keep the legend out of the chart: it is as long as the chart is high.</param>
    public void Finish(string whenEmpty, bool legendBeside)
    {
        Plot.Axes.AutoScale();
        if (_isEmpty)
        {
            Annotation note = Plot.Add.Annotation(whenEmpty, Alignment.MiddleCenter);
            (note.LabelBackgroundColor, note.LabelBorderColor, note.LabelShadowColor) =
                (Colors.Transparent, Colors.Transparent, Colors.Transparent);
        }
        if (Plot.GetPlottables().OfType<IHasLegendText>().Any(item => item.LegendText.Length > 0))
        {
            if (legendBeside) Plot.ShowLegend(Edge.Right);
            else Plot.ShowLegend(Alignment.UpperRight);
        }
        if (CurveFont.Name is { } font) Plot.Font.Set(font);
    }
}
