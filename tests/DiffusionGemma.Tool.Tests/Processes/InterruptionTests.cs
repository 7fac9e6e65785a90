namespace DiffusionGemma.Processes;

/// <summary>Ctrl+C in a process of its own.</summary>
[Collection(OneByOne.Name)]
public sealed class InterruptionTests
{
    [Fact]
    public void A_run_that_is_interrupted_keeps_a_checkpoint_and_the_same_command_goes_on()
    {
        if (OperatingSystem.IsWindows()) Assert.Skip("Windows has no kill -INT.");
        using TemporaryFolder folder = Fixtures.Temporary();
        TrainedRun.WriteRows(folder.File("rows.jsonl"));
        string output = folder.File("out"), recipe = TrainedRun.WriteRecipe(folder.Path, output);
        string[] command = ["train", recipe, "--step_scheduler.val_every_steps", "100000", "--device", "cpu"];
        using (var process = new ToolProcess(command))
        {
            process.WaitFor("step 2/1000");
            process.Signal("INT");
            Assert.Equal(ExitCode.Cancelled, process.Wait());
            Assert.Contains("Ctrl+C again ends at once", process.Said, StringComparison.Ordinal);
            Assert.Contains("The same command goes on from there.", process.Said, StringComparison.Ordinal);
        }
        string checkpoint = Assert.Single(Directory.GetDirectories(output, "step-*"));
        int done = int.Parse(Path.GetFileName(checkpoint)["step-".Length..]);
        Assert.InRange(done, 2, 999);
        Assert.Equal(1 + done, File.ReadLines(Path.Combine(output, "report", "history.csv")).Count());

        using (var process = new ToolProcess(command))
        {
            process.WaitFor($"step {done + 2}/1000");
            process.Signal("TERM");
            Assert.Equal(ExitCode.Terminated, process.Wait());
            Assert.Contains($"step {done + 1}/1000", process.Said, StringComparison.Ordinal);
            Assert.DoesNotContain($"step {done}/1000", process.Said, StringComparison.Ordinal);
        }
        done = Directory.GetDirectories(output, "step-*").Max(folder => int.Parse(Path.GetFileName(folder)["step-".Length..]));

        using (var process = new ToolProcess(command))
        {
            process.WaitFor($"step {done + 2}/1000");
            process.Signal("HUP");
            Assert.Equal(ExitCode.HungUp, process.Wait());
            Assert.Contains("The same command goes on from there.", process.Said, StringComparison.Ordinal);
            Assert.Contains($"step {done + 1}/1000", process.Said, StringComparison.Ordinal);
            Assert.DoesNotContain($"step {done}/1000", process.Said, StringComparison.Ordinal);
        }
        string[] steps = [.. File.ReadLines(Path.Combine(output, "report", "history.csv")).Skip(1).Select(line => line.Split(',')[0])];
        Assert.Equal(Enumerable.Range(0, steps.Length).Select(step => $"{step}"), steps);
    }

    /// <summary>They were told to stop, went on to the end, and said that they had succeeded.</summary>
    [Theory]
    [InlineData("INT", ExitCode.Cancelled)]
    [InlineData("TERM", ExitCode.Terminated)]
    public void Work_of_which_nothing_is_kept_ends_at_the_first(string signal, int code)
    {
        if (OperatingSystem.IsWindows()) Assert.Skip("Windows has no kill -INT.");
        const int Rows = 200_000;                                                    // minutes of rows
        using TemporaryFolder folder = Fixtures.Temporary();
        string row = """{"messages":[{"role":"user","content":"Hi"},{"role":"assistant","content":"Hello"}]}""";
        File.WriteAllLines(folder.File("rows.jsonl"), Enumerable.Repeat(row, Rows));
        using var process = new ToolProcess(
            "inspect", folder.File("rows.jsonl"), "--checkpoint", Fixtures.Checkpoint("tiny-chat"), "--rows", $"{Rows}", "--json");
        process.WaitFor("promptLength");
        process.Signal(signal);
        Assert.Equal(code, process.Wait());
        Assert.Contains("Stopped.", process.Said, StringComparison.Ordinal);
    }

    [Fact]
    public void A_second_one_ends_at_once()
    {
        if (OperatingSystem.IsWindows()) Assert.Skip("Windows has no kill -INT.");
        using TemporaryFolder folder = Fixtures.Temporary();
        TrainedRun.WriteRows(folder.File("rows.jsonl"));
        using var process = new ToolProcess(
            "train", TrainedRun.WriteRecipe(folder.Path, folder.File("out")), "--step_scheduler.global_batch_size", "24",
            "--step_scheduler.max_steps", "1000", "--device", "cpu");
        process.WaitFor("step 1/1000");
        process.Signal("INT");
        process.WaitFor("Ctrl+C again ends at once");
        process.Signal("INT");
        Assert.Equal(ExitCode.Cancelled, process.Wait());
    }
}
