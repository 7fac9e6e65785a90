using System.Diagnostics;

namespace DiffusionGemma;

/// <summary>The tool in a process that lacks something: it says so, and is never aborted.</summary>
[Collection(OneByOne.Name)]
public sealed class ProcessStateTests
{
    private static readonly string[] Ask =
        ["chat", Fixtures.Checkpoint("tiny-chat"), "--prompt", "What is 8 plus 7?", "--max-new-tokens", "32"];

    [Fact]
    public void Without_standard_error_a_question_is_answered()
    {
        (int code, string said, _) = Run("exec \"$@\" 2>&-", Ask);
        Assert.Equal(ExitCode.Success, code);
        Assert.Contains("15", said, StringComparison.Ordinal);
        Assert.Equal(ExitCode.Usage, Run("exec \"$@\" 2>&-", ["chat"]).Code);
    }

    [Fact]
    public void Standard_output_on_a_full_disk_is_named()
    {
        Assert.SkipUnless(File.Exists("/dev/full"), "This system has no device that is always full.");
        (int code, _, string error) = Run("exec \"$@\" > /dev/full", Ask);
        Assert.Equal(ExitCode.Data, code);
        Assert.Contains("Standard output cannot be written", error, StringComparison.Ordinal);
        Assert.Equal(ExitCode.Data, Run("exec \"$@\" > /dev/full 2>&1", [.. Ask, "--json"]).Code);
    }

    /// <summary>The model is saved; a note says that lines are missing, and the exit code is that of an output that fails.</summary>
    [Fact]
    public void Standard_output_on_a_full_disk_ends_no_run()
    {
        Assert.SkipUnless(File.Exists("/dev/full"), "This system has no device that is always full.");
        using TemporaryFolder folder = Fixtures.Temporary();
        TrainedRun.WriteRows(folder.File("rows.jsonl"));
        string recipe = TrainedRun.WriteRecipe(folder.Path, folder.File("out"));
        (int code, _, string error) = Run("exec \"$@\" > /dev/full",
            ["train", recipe, "--step_scheduler.max_steps", "2", "--device", "cpu", "--no-report", "--json"]);
        Assert.Equal(ExitCode.Data, code);
        Assert.Single(error.Split('\n'), line => line.Contains("The work goes on", StringComparison.Ordinal));
        Assert.True(File.Exists(folder.File("out/model.zip")), error);
    }

    [Theory]
    [InlineData("chat")]
    [InlineData("export", "--output")]
    [InlineData("plan")]
    public void A_working_directory_that_is_gone_is_named(string command, params string[] options)
    {
        using TemporaryFolder folder = Fixtures.Temporary();
        string gone = folder.File("gone");
        string[] output = options.Length > 0 ? [.. options, folder.File("new")] : [];
        (int code, _, string error) = Run(
            $"mkdir '{gone}' && cd '{gone}' && rmdir ../gone && exec \"$@\"", [command, Fixtures.Checkpoint("tiny-chat"), .. output]);
        Assert.Equal(ExitCode.Usage, code);
        Assert.Contains("working directory is gone", error, StringComparison.Ordinal);
    }

    [Fact]
    public void A_folder_for_temporary_files_that_is_missing_is_named()
    {
        using TemporaryFolder folder = Fixtures.Temporary();
        TrainedRun.WriteRows(folder.File("rows.jsonl"));
        string recipe = TrainedRun.WriteRecipe(folder.Path, folder.File("out")), missing = folder.File("missing");
        (int code, _, string error) = Run($"export TMPDIR='{missing}'; exec \"$@\"",
            ["train", recipe, "--step_scheduler.max_steps", "2", "--device", "cpu"]);
        Assert.Equal(ExitCode.Data, code);
        Assert.Contains($"A temporary folder cannot be made in {missing}", error, StringComparison.Ordinal);
    }

    /// <summary>Runs the tool as the arguments of a shell's script.</summary>
    private static (int Code, string Said, string Error) Run(string script, string[] arguments)
    {
        Assert.SkipUnless(File.Exists("/bin/sh"), "There is no shell.");
        var start = new ProcessStartInfo("/bin/sh") { RedirectStandardOutput = true, RedirectStandardError = true };
        string tool = Path.Combine(AppContext.BaseDirectory, "DiffusionGemma.Tool");
        foreach (string argument in (string[])["-c", script, "sh", tool, .. arguments])
            start.ArgumentList.Add(argument);
        start.Environment["OMP_NUM_THREADS"] = "1";
        using Process process = Process.Start(start)!;
        Task<string> said = process.StandardOutput.ReadToEndAsync(), error = process.StandardError.ReadToEndAsync();
        Assert.True(process.WaitForExit(TimeSpan.FromMinutes(30)), "The tool does not end.");
        return (process.ExitCode, said.GetAwaiter().GetResult(), error.GetAwaiter().GetResult());
    }
}
