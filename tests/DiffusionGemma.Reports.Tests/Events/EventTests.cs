using TorchSharp;

namespace DiffusionGemma.Events;

/// <summary>Event files, read back, and the picture library that they share with charts and TorchSharp.</summary>
public sealed class EventTests
{
    [Fact]
    public void Every_figure_is_a_scalar_at_its_step()
    {
        using TemporaryFolder folder = Fixtures.Temporary();
        StepRecord[] steps = [Histories.Step(0, 3), Histories.Step(1, double.NaN)];
        steps.SaveEvents(folder.Path, [Histories.Evaluation(2, 4)]);

        var scalars = Scalars.Read(folder.Path);
        Assert.Equal([(1L, 3f), (2L, float.NaN)], Of(scalars, "loss/total"));
        Assert.Equal([(1L, 4f), (2L, float.NaN)], Of(scalars, "optimizer/gradient_norm"));
        Assert.Equal([(1L, 1e-3f), (2L, 1e-3f)], Of(scalars, "optimizer/learning_rate"));
        Assert.Equal([(2L, 4f)], Of(scalars, "held_out/diffusion_loss"));
        Assert.Equal([(2L, 8f)], Of(scalars, "held_out_by_noise/t=0.95"));
        Assert.Equal(2 * 7 + 2 + EvaluationRecord.NoiseLevels, scalars.Count);
    }

    [Fact]
    public void Event_files_of_an_earlier_run_are_moved_aside()
    {
        using TemporaryFolder folder = Fixtures.Temporary();
        for (int run = 0; run < 3; run++) new[] { Histories.Step(0, run) }.SaveEvents(folder.Path);

        Assert.Equal([(1L, 2f)], Of(Scalars.Read(folder.Path), "loss/total"));
        Assert.Equal([(1L, 0f)], Of(Scalars.Read(folder.File("earlier-1")), "loss/total"));
        Assert.Equal([(1L, 1f)], Of(Scalars.Read(folder.File("earlier-2")), "loss/total"));
    }

    /// <summary>ScottPlot is built for SkiaSharp 3 and TorchSharp for 2.88: one version serves both.</summary>
    [Fact]
    public void Charts_event_files_and_the_image_module_of_TorchSharp_work_in_one_process()
    {
        using TemporaryFolder folder = Fixtures.Temporary();
        string chart = folder.File("curves.png"), copy = folder.File("copy.png");
        Histories.Falling(20).Plot(chart, options: new CurveOptions { Width = 300, Height = 200 });
        Histories.Falling(20).SaveEvents(folder.Path);

        using var scope = torch.NewDisposeScope();
        var images = new torchvision.io.SkiaImager();
        torch.Tensor read = torchvision.io.read_image(chart, torchvision.io.ImageReadMode.RGB, images);
        Assert.Equal([3L, 200L, 300L], read.shape);
        torchvision.io.write_image(read, copy, torchvision.ImageFormat.Png, images);
        torch.Tensor again = torchvision.io.read_image(copy, torchvision.io.ImageReadMode.RGB, images);
        Assert.True(read.Equals(again));
        Assert.True(read.to(torch.float32).std().item<float>() > 1);

        // The writer's own pictures are scaled by SkiaSharp.
        torch.utils.tensorboard.SummaryWriter(folder.File("pictures"), createRunName: false).add_img("chart", read, 1);
        Assert.NotEmpty(Directory.GetFiles(folder.File("pictures")));
    }

    private static IEnumerable<(long, float)> Of(IEnumerable<(string Tag, long Step, float Value)> scalars, string tag) =>
        scalars.Where(scalar => scalar.Tag == tag).Select(scalar => (scalar.Step, scalar.Value));
}
