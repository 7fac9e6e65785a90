using System.Xml.Linq;

namespace DiffusionGemma.Curves;

/// <summary>The charts, read back from their pixels.</summary>
public sealed class PlotTests
{
    private const int Total = 0, Diffusion = 1, Encoder = 2, Norm = 3, Rate = 4, Noise = 5;
    private static readonly CurveOptions Small = new() { Width = 900, Height = 500 };

    [Fact]
    public void Every_chart_holds_its_curve_and_a_falling_loss_falls()
    {
        Picture picture = Plot(Histories.Falling(100), [Histories.Evaluation(50, 3), Histories.Evaluation(100, 2)]);

        Assert.Equal((900, 500), (picture.Width, picture.Height));
        foreach (int panel in new[] { Total, Diffusion, Encoder, Norm, Rate })
            Assert.True(picture.Count(panel, Picture.IsBlue) > 100, $"chart {panel} has no curve");
        foreach (int panel in new[] { Diffusion, Encoder })
            Assert.True(picture.Count(panel, Picture.IsOrange) > 20, $"chart {panel} shows no held-out loss");
        Assert.True(picture.Count(Noise, Picture.IsColoured) > 500);
        (double left, double right) = picture.Heights(Total, Picture.IsBlue);
        Assert.True(left > right + 30, $"the loss is drawn from {left} to {right}");
    }

    [Fact]
    public void A_run_of_one_step_shows_a_point_and_no_evaluation_leaves_its_chart_without_curves()
    {
        Picture picture = Plot(Histories.Falling(1), []);

        foreach (int panel in new[] { Total, Diffusion, Encoder, Norm, Rate })
            Assert.InRange(picture.Count(panel, Picture.IsBlue), 5, 200);
        Assert.Equal(0, picture.Count(Noise, Picture.IsColoured));
    }

    [Fact]
    public void A_run_without_a_step_is_drawn_empty()
    {
        Picture picture = Plot([], []);

        for (int panel = 0; panel < 6; panel++) Assert.Equal(0, picture.Count(panel, Picture.IsColoured));
    }

    [Theory]
    [InlineData(double.NaN)]
    [InlineData(double.PositiveInfinity)]
    [InlineData(double.NegativeInfinity)]
    public void Values_that_are_not_finite_are_marked_and_leave_the_others_as_they_are(double value)
    {
        StepRecord[] steps = Histories.Falling(60);
        steps[30] = steps[30] with { GradientNorm = value };
        Picture picture = Plot(steps, []), whole = Plot(Histories.Falling(60), []);

        Assert.True(picture.Count(Norm, Picture.IsRed) > 20);
        Assert.True(picture.Count(Norm, Picture.IsBlue) > 100);
        Assert.Equal(whole.Count(Total, Picture.IsBlue), picture.Count(Total, Picture.IsBlue));
        Assert.Equal(0, picture.Count(Total, Picture.IsRed));
    }

    [Fact]
    public void A_run_of_nothing_but_NaN_is_drawn()
    {
        Picture picture = Plot([Histories.Step(0, double.NaN), Histories.Step(1, double.NaN)], []);

        Assert.True(picture.Count(Total, Picture.IsRed) > 20);
    }

    [Fact]
    public void Svg_is_a_drawing_of_that_size()
    {
        using TemporaryFolder folder = Fixtures.Temporary();
        Histories.Falling(40).Plot(folder.File("curves.SVG"), options: Small);

        XElement drawing = XDocument.Load(folder.File("curves.SVG")).Root!;
        Assert.Equal(
            ("svg", "900", "500"), (drawing.Name.LocalName, drawing.Attribute("width")!.Value, drawing.Attribute("height")!.Value));
        Assert.True(drawing.Descendants().Count(element => element.Name.LocalName == "path") > 20);
    }

    [Fact]
    public void A_history_gives_its_own_evaluations_and_a_file_that_is_there_is_replaced()
    {
        using TemporaryFolder folder = Fixtures.Temporary();
        string path = folder.File("curves.png");
        File.WriteAllText(path, "old");
        var history = new RunHistory();
        history.Start(Histories.Falling(10), [Histories.Evaluation(5, 2), Histories.Evaluation(10, 1)], totalSteps: 10);
        history.Plot(path, options: Small);

        Assert.True(new Picture(path).Count(Noise, Picture.IsColoured) > 100);
        Assert.Equal([path], Directory.GetFiles(folder.Path));
    }

    [Fact]
    public void Other_names_and_options_out_of_range_are_refused_before_a_file_is_made()
    {
        using TemporaryFolder folder = Fixtures.Temporary();
        StepRecord[] steps = Histories.Falling(3);

        Assert.Contains(".png or .svg", Assert.Throws<ArgumentException>(() => steps.Plot(folder.File("curves.pdf"))).Message);
        CurveOptions[] refused = [new() { Smoothing = 1 }, new() { Smoothing = double.NaN }, new() { Width = 10 }];
        foreach (CurveOptions options in refused)
            Assert.Throws<ArgumentOutOfRangeException>(() => steps.Plot(folder.File("curves.png"), options: options));
        Assert.Empty(Directory.GetFiles(folder.Path));
    }

    private static Picture Plot(StepRecord[] steps, EvaluationRecord[] evaluations)
    {
        using TemporaryFolder folder = Fixtures.Temporary();
        steps.Plot(folder.File("curves.png"), evaluations, Small);
        return new Picture(folder.File("curves.png"));
    }
}
