using ScottPlot;
using ScottPlot.MultiplotLayouts;
using SkiaSharp;

namespace DiffusionGemma;

/// <summary>
/// Six charts of a run, in two rows: total, diffusion and encoder loss; gradient norm, learning rate, held-out loss by noise level.
/// </summary>
internal static class RunFigure
{
    private const int Columns = 3, Rows = 2;
    private const string Nats = "nats a token", NoSteps = "no step yet", NoEvaluation = "no evaluation";
    private const int PngQuality = 100;

    /// <summary>Draws it into a file, under a temporary name until it is whole.</summary>
    /// <param name="path">Ends in .png or .svg.</param>
    /// <param name="steps">The run's steps; may be empty.</param>
    /// <param name="evaluations">Its evaluations; may be empty.</param>
    /// <param name="options">Size and smoothing.</param>
    public static void Save(
        string path, IReadOnlyList<StepRecord> steps, IReadOnlyList<EvaluationRecord> evaluations, CurveOptions options)
    {
        Action<Multiplot, Stream, CurveOptions> write = Path.GetExtension(path).ToLowerInvariant() switch
        {
            ".png" => WritePng,
            ".svg" => WriteSvg,
            _ => throw new ArgumentException($"{path}: curves are drawn as .png or .svg; name the file so.", nameof(path)),
        };
        Multiplot figure = Draw(steps, evaluations, options);
        WholeFile.Write(path, stream => write(figure, stream, options));
    }

    private static Multiplot Draw(IReadOnlyList<StepRecord> steps, IReadOnlyList<EvaluationRecord> evaluations, CurveOptions options)
    {
        double[] x = [.. steps.Select(step => step.Step + 1.0)];           // "after n steps", as evaluations count
        double[] evaluated = [.. evaluations.Select(evaluation => (double)evaluation.Step)];
        Color blue = Colors.C0, orange = Colors.C1;

        CurvePanel Panel(string title, string unit, Func<StepRecord, double> value, double smoothing)
        {
            var panel = new CurvePanel(title, unit);
            double[] values = [.. steps.Select(value)];
            panel.AddSmoothed(x, values, smoothing, blue);
            panel.MarkNotFinite(x, values);
            return panel;
        }

        CurvePanel total = Panel("Total loss", Nats, step => step.Loss, options.Smoothing);
        CurvePanel diffusion = Panel("Diffusion loss", Nats, step => step.DiffusionLoss, options.Smoothing);
        CurvePanel encoder = Panel("Encoder loss", Nats, step => step.EncoderLoss, options.Smoothing);
        CurvePanel norm = Panel("Gradient norm (before clipping)", "2-norm", step => step.GradientNorm, options.Smoothing);
        CurvePanel rate = Panel("Learning rate", "", step => step.LearningRate, smoothing: 0);
        diffusion.AddPoints(evaluated, [.. evaluations.Select(evaluation => evaluation.DiffusionLoss)], orange, "held out");
        encoder.AddPoints(evaluated, [.. evaluations.Select(evaluation => evaluation.EncoderLoss)], orange, "held out");
        CurvePanel noise = ByNoise(evaluations, evaluated);

        CurvePanel[] panels = [total, diffusion, encoder, norm, rate, noise];
        foreach (CurvePanel panel in panels) panel.Finish(panel == noise ? NoEvaluation : NoSteps, legendBeside: panel == noise);
        var figure = new Multiplot(panels[0].Plot) { Layout = new Grid(Rows, Columns) };
        foreach (CurvePanel panel in panels.Skip(1)) figure.AddPlot(panel.Plot);
        return figure;
    }

    private static CurvePanel ByNoise(IReadOnlyList<EvaluationRecord> evaluations, double[] evaluated)
    {
        var panel = new CurvePanel("Held-out loss by noise level", Nats);
        int levels = evaluations.Select(evaluation => evaluation.DiffusionLossByNoise.Count).DefaultIfEmpty(0).Min();
        var colours = new ScottPlot.Colormaps.Viridis();
        for (int level = 0; level < levels; level++)
        {
            double[] values = [.. evaluations.Select(evaluation => evaluation.DiffusionLossByNoise[level])];
            panel.AddPoints(evaluated, values, colours.GetColor(level / Math.Max(1.0, levels - 1)), NoiseLevel.Name(level, levels));
            panel.MarkNotFinite(evaluated, values);
        }
        return panel;
    }

    private static void WritePng(Multiplot figure, Stream stream, CurveOptions options)
    {
        using SKSurface surface = SKSurface.Create(new SKImageInfo(options.Width, options.Height))
            ?? throw new ArgumentException($"A figure of {options.Width} x {options.Height} pixels cannot be made; name a smaller size.");
        surface.Canvas.Clear(SKColors.White);
        figure.Render(surface.Canvas, new PixelRect(0, options.Width, options.Height, 0));
        using SKImage image = surface.Snapshot();
        using SKData data = image.Encode(SKEncodedImageFormat.Png, PngQuality);
        data.SaveTo(stream);
    }

    private static void WriteSvg(Multiplot figure, Stream stream, CurveOptions options)
    {
        using SKCanvas canvas = SKSvgCanvas.Create(new SKRect(0, 0, options.Width, options.Height), stream);
        canvas.Clear(SKColors.White);
        figure.Render(canvas, new PixelRect(0, options.Width, options.Height, 0));
    }
}
