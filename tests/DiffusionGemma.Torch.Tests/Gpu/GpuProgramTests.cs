using System.Globalization;
using System.Text.Json;
using System.Text.RegularExpressions;

namespace DiffusionGemma;

/// <summary>The program that proves the library on a GPU, on the CPU, so that it is ready on the day that there is one.</summary>
public class GpuProgramTests
{
    private static string Program => Path.Combine(AppContext.BaseDirectory, "DiffusionGemma.Gpu");

    [Fact]
    public void On_the_CPU_every_stage_runs_or_says_why_not()
    {
        using TemporaryFolder folder = Fixtures.Temporary();
        ProgramRun run = ProgramRun.Start(Program, ["--device", "cpu", "--quick", "--out", folder.Path])!;
        Assert.True(run.Exit == 0, run.ToString());
        JsonElement[] lines =
            [.. File.ReadLines(folder.File("results.jsonl")).Select(line => JsonDocument.Parse(line).RootElement.Clone())];
        string Status(string name) =>
            Assert.Single(lines, line => line.GetProperty("name").GetString() == name).GetProperty("status").GetString()!;
        foreach (string check in new[]
        {
            "self-test", "passes.tiny-2layer.float32", "passes.tiny-2layer.bfloat16", "gradients.tiny-2layer.float32",
            "training.lora.float32", "training.lora.bfloat16",
            "experts.products.even", "experts.products.with gaps", "experts.products.one",
            "experts.reads", "out of memory", "small.lora.losses", "small.int4.lora.losses",
        })
            Assert.Equal("passed", Status(check));
        foreach (string figure in new[]
        {
            "small.lora.seconds", "small.lora.peak", "small.lora.plan", "small.denoising.batch1.seconds", "small.denoising.batch8.seconds",
            "small.int4.denoising.batch1.seconds",
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
}
