using System.Globalization;
using System.Text.Json;
using static TorchSharp.torch;

namespace DiffusionGemma;

/// <summary>Ranks that are processes of mpirun.</summary>
public class ProcessesTests : TorchTest
{
    /// <summary>The reference's twenty steps, its losses within 1e-4 (TrainingFixtureTests).</summary>
    [Theory]
    [InlineData(2, "nemo", "full", ScalarType.Float32, 1e-4)]
    [InlineData(4, "nemo", "lora", ScalarType.Float32, 1e-4)]
    [InlineData(4, "tiny-6layer", "full", ScalarType.Float64, 1e-8)]
    public void Processes_keep_to_the_reference(int ranks, string name, string kind, ScalarType dtype, double tolerance)
    {
        using TemporaryFolder folder = Fixtures.Temporary();
        MpiRun run = MpiRun.Start(ranks, "train", name, kind, $"{dtype}", folder.Path);
        Assert.True(run.Job.Exit == 0, run.Job.ToString());
        IReadOnlyList<JsonElement> steps = new TrainingFixture(name).Steps(kind);
        for (int rank = 0; rank < ranks; rank++)
        {
            double[] losses = Losses(folder, rank);
            Assert.Equal(steps.Count, losses.Length);
            foreach ((double loss, JsonElement expected) in losses.Zip(steps))
                Assert.Equal(expected.GetProperty("loss").GetDouble(), loss, tolerance * Math.Max(1, loss));
        }
    }

    /// <summary>
    /// Two processes begin, four go on, are cancelled, go on in the same processes, and the folder that they write is what one rank's run
    /// comes to.
    /// </summary>
    [Fact]
    public void Another_number_of_processes_goes_on_and_writes_one_folder()
    {
        using TemporaryFolder folder = Fixtures.Temporary();
        MpiRun begun = MpiRun.Start(2, "train folder", folder.File("out"), folder.File("run"), "4", "false");
        Assert.All([0, 1], rank => Assert.Equal("cancelled", begun.Of(rank)));
        Assert.True(begun.Job.Exit == 0, begun.Job.ToString());                                // a cancelled run is no failure of the job
        Assert.False(Directory.Exists(folder.File("out")));
        MpiRun run = MpiRun.Start(4, "train folder", folder.File("out"), folder.File("run"), "7", "true");
        Assert.True(run.Job.Exit == 0, run.Job.ToString());

        using var model = DiffusionGemmaModel.Load(Fixtures.Checkpoint("tiny-2layer"), TestDevice.Current, ScalarType.Float64);
        using FineTuneResult alone =
            FineTuner.Fit(model, TinyRows.Make(24), TinyRows.Options with { Run = TinyRows.Options.Run with { MicroBatchSize = 1 } });
        model.Save(folder.File("alone"));
        foreach ((double loss, StepRecord expected) in Losses(folder, 3).Zip(alone.History)) Assert.Equal(expected.Loss, loss, 1e-9);
        using SafetensorsFile got = SafetensorsFile.Open(folder.File("out")), wanted = SafetensorsFile.Open(folder.File("alone"));
        Assert.Equal(wanted.Tensors.Keys.Order(), got.Tensors.Keys.Order());
        foreach (string name in wanted.Tensors.Keys) Assert.True(Largest(got.Read(name), wanted.Read(name)) < 1e-6, name);
    }

    [Fact]
    public void A_process_that_fails_ends_the_others_with_its_error()
    {
        MpiRun run = MpiRun.Start(2, "train fault", "thrown");
        Assert.NotEqual(0, run.Job.Exit);
        Assert.Contains("a fault of rank 1", run.Of(0), StringComparison.Ordinal);
        Assert.Contains("step", run.Of(0), StringComparison.Ordinal);
        Assert.True(run.Job.Elapsed < TimeSpan.FromMinutes(5), run.Job.ToString());
    }

    [Fact]
    public void A_process_that_is_killed_ends_the_job()
    {
        MpiRun run = MpiRun.Start(2, "train fault", "killed");
        Assert.NotEqual(0, run.Job.Exit);
        Assert.DoesNotContain("finished", run.Job.Output, StringComparison.Ordinal);
        Assert.True(run.Job.Elapsed < TimeSpan.FromMinutes(5), run.Job.ToString());
    }

    private static double[] Losses(TemporaryFolder folder, int rank) =>
        [.. File.ReadAllText(folder.File($"{rank}.losses")).Split(' ').Select(text => double.Parse(text, CultureInfo.InvariantCulture))];
}
