using System.Diagnostics;
using System.Globalization;
using System.Text.Json;
using System.Text.RegularExpressions;

namespace DiffusionGemma;

/// <summary>The program that proves the library on a GPU, on the CPU, so that it is ready on the day that there is one.</summary>
public class GpuProgramTests
{
    private static readonly TimeSpan Longest = TimeSpan.FromMinutes(30);

    private static string Program => Path.Combine(AppContext.BaseDirectory, "DiffusionGemma.Gpu");

    [Fact]
    public void On_the_CPU_every_stage_runs_or_says_why_not()
    {
        using TemporaryFolder folder = Fixtures.Temporary();
        ProgramRun run = ProgramRun.Start(Program, ["--device", "cpu", "--quick", "--out", folder.Path])!;
        Assert.True(run.Exit == 0, run.ToString());
        JsonElement[] lines = Lines(folder);
        string Status(string name) =>
            Assert.Single(lines, line => line.GetProperty("name").GetString() == name).GetProperty("status").GetString()!;
        foreach (string check in new[]
        {
            "self-test", "passes.tiny-2layer.float32", "passes.tiny-2layer.bfloat16", "gradients.tiny-2layer.float32",
            "training.lora.float32", "training.lora.bfloat16",
            "experts.products.even", "experts.products.with gaps", "experts.products.one",
            "experts.reads", "out of memory", "out of memory.runs", "attention.Sliding.decode.grouped heads",
            "attention.Full.encode.repeated heads", "small.lora.losses", "small.int4.lora.losses",
        })
            Assert.Equal("passed", Status(check));
        foreach (string figure in new[]
        {
            "small.lora.seconds", "small.lora.peak", "small.lora.plan", "small.denoising.batch1.seconds", "small.denoising.batch8.seconds",
            "small.int4.denoising.batch1.seconds", "experts.products.even.seconds", "attention.Full.decode, padded.repeated heads.seconds",
        })
            Assert.Equal("figure", Status(figure));
        Assert.Contains(Status("nccl.stand-in"), new[] { "passed", "skipped" });
        Assert.Equal("skipped", Status("compute-sanitizer"));
        Assert.Equal(5, lines.Count(line => line.GetProperty("status").GetString() == "time"));
        Assert.All(
            lines.Where(line => line.GetProperty("status").GetString() == "skipped"),
            line => Assert.NotEmpty(line.GetProperty("note").GetString()!));
        string report = File.ReadAllText(folder.File("report.md"));
        for (int stage = 1; stage <= 5; stage++) Assert.Contains($"## Stage {stage}", report, StringComparison.Ordinal);
        Assert.Contains("0 failed", report, StringComparison.Ordinal);
    }

    /// <summary>The first stage's process is killed, as by a fault of a driver: its lines stay, and the next stage runs.</summary>
    [Fact]
    public async Task A_stage_whose_process_dies_leaves_its_lines_and_the_other_stages()
    {
        Assert.SkipUnless(OperatingSystem.IsLinux(), "Children are found in /proc.");
        using TemporaryFolder folder = Fixtures.Temporary();
        using Process program = Start(folder);
        await Reached(folder, "self-test");
        using (Process child = Process.GetProcessById(ChildOf(program.Id))) child.Kill();
        await program.WaitForExitAsync().WaitAsync(Longest);
        JsonElement[] lines = Lines(folder);
        Assert.Equal(1, program.ExitCode);
        Assert.Contains(lines, line => line.GetProperty("status").GetString() == "failed"
            && line.GetProperty("note").GetString()!.Contains("its process ended with 137", StringComparison.Ordinal));
        Assert.Contains(lines, line => line.GetProperty("name").GetString() == "compute-sanitizer");
        string report = File.ReadAllText(folder.File("report.md"));
        foreach (string text in new[] { "self-test", "1 failed", "## Stage 5" }) Assert.Contains(text, report, StringComparison.Ordinal);
    }

    /// <summary>A run that is asked to end (timeout's signal) ends its stage too, and writes the page of what it had.</summary>
    [Fact]
    public async Task A_run_that_is_ended_leaves_what_it_had()
    {
        Assert.SkipUnless(OperatingSystem.IsLinux(), "Children are found in /proc.");
        using TemporaryFolder folder = Fixtures.Temporary();
        using Process program = Start(folder);
        await Reached(folder, "self-test");
        int stage = ChildOf(program.Id);
        using (Process kill = Process.Start("kill", ["-TERM", $"{program.Id}"])) await kill.WaitForExitAsync().WaitAsync(Longest);
        await program.WaitForExitAsync().WaitAsync(Longest);
        Assert.Equal(1, program.ExitCode);
        Assert.False(Directory.Exists($"/proc/{stage}"), "the stage's process goes on");
        string report = File.ReadAllText(folder.File("report.md"));
        foreach (string text in new[] { "self-test", "stopped by SIGTERM" }) Assert.Contains(text, report, StringComparison.Ordinal);
        Assert.DoesNotContain("## Stage 5", report, StringComparison.Ordinal);
    }

    [Fact]
    public void A_folder_that_cannot_be_written_to_is_said()
    {
        ProgramRun run = ProgramRun.Start(Program, ["--device", "cpu", "--quick", "--out", Path.Combine(Program, "out")])!;
        Assert.Equal(2, run.Exit);
        Assert.Contains("cannot be written to", run.Errors, StringComparison.Ordinal);
    }

    /// <summary>
    /// A device gets the repository's files and the published program, 64 MiB at most; build/gpu/publish.sh checks the program.
    /// </summary>
    [Fact]
    public void The_repository_leaves_room_for_the_program()
    {
        ProgramRun? listed = ProgramRun.Start("git", ["-C", Fixtures.Root, "ls-files", "-z"]);
        if (listed is not { Exit: 0 }) Assert.Skip("git does not list the files of a checkout here.");
        long bytes = listed.Output.Split('\0', StringSplitOptions.RemoveEmptyEntries)
            .Select(name => new FileInfo(Path.Combine(Fixtures.Root, name.Trim()))).Where(file => file.Exists).Sum(file => file.Length);
        string script = File.ReadAllText(Path.Combine(Fixtures.Root, "build", "gpu", "publish.sh"));
        long program = long.Parse(Regex.Match(script, @"program_most=(\d+)").Groups[1].Value, CultureInfo.InvariantCulture);
        Assert.InRange(bytes, 1_000_000, (64L << 20) - program);
    }

    [Theory]
    [InlineData("--stages", "6", "numbers from 1 to 5")]
    [InlineData("--device", "tpu", "cuda or cpu")]
    [InlineData("--speed", "1", "--speed is not known")]
    public void A_wrong_argument_is_said_with_the_usage(string option, string value, string message)
    {
        ProgramRun run = ProgramRun.Start(Program, [option, value])!;
        Assert.Equal(2, run.Exit);
        Assert.Contains(message, run.Errors, StringComparison.Ordinal);
        Assert.Contains("--stages 1,2,3,4,5", run.Errors, StringComparison.Ordinal);
    }

    private static Process Start(TemporaryFolder folder) =>
        Process.Start(Program, ["--stages", "1,5", "--device", "cpu", "--quick", "--out", folder.Path]);

    /// <summary>Waits until a result has been written.</summary>
    private static async Task Reached(TemporaryFolder folder, string name)
    {
        using var ends = new CancellationTokenSource(Longest);
        while (!File.Exists(folder.File("results.jsonl")) || !Text(folder).Contains($"\"{name}\"", StringComparison.Ordinal))
            await Task.Delay(50, ends.Token);
    }

    private static string Text(TemporaryFolder folder)
    {
        using var file = new FileStream(folder.File("results.jsonl"), FileMode.Open, FileAccess.Read, FileShare.ReadWrite);
        return new StreamReader(file).ReadToEnd();
    }

    private static JsonElement[] Lines(TemporaryFolder folder) =>
        [.. File.ReadLines(folder.File("results.jsonl")).Select(line => JsonDocument.Parse(line).RootElement.Clone())];

    /// <summary>Returns the process that another one has started.</summary>
    private static int ChildOf(int parent)
    {
        foreach (string folder in Directory.GetDirectories("/proc"))
        {
            if (!int.TryParse(Path.GetFileName(folder), out int id)) continue;
            try
            {
                // pid (name) state parent ...; the name may hold spaces
                string stat = File.ReadAllText(Path.Combine(folder, "stat"));
                string[] fields = stat[(stat.LastIndexOf(')') + 2)..].Split(' ');
                if (int.Parse(fields[1], CultureInfo.InvariantCulture) == parent) return id;
            }
            catch (Exception e) when (e is IOException or UnauthorizedAccessException)
            {
                // It has ended in the meantime.
            }
        }
        throw new InvalidOperationException($"Process {parent} has no child.");
    }
}
