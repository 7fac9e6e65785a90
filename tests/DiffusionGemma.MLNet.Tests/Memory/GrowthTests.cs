using System.Diagnostics;

namespace DiffusionGemma.Memory;

[Collection(Alone.Name)]
public sealed class GrowthTests
{
    private static readonly TimeSpan Longest = TimeSpan.FromMinutes(30);

    /// <summary>
    /// Twelve lives of a model in one process: trained, saved, loaded, asked. The program compares the last three with three in the middle,
    /// and says of what there is more. 200 of them are run on demand (docs/reliability.md).
    /// </summary>
    [Fact]
    public async Task Twelve_models_leave_nothing_behind()
    {
        var start = new ProcessStartInfo(Path.Combine(Fixtures.Root, "tests", "DiffusionGemma.Soak", Below(), "DiffusionGemma.Soak"),
            ["memory", "--rounds", "12", "--steps", "2", "--questions", "2"])
        {
            RedirectStandardOutput = true,
        };
        // Methods are compiled once: on a slow machine the second, better code of thousands of them came within the rounds compared.
        start.Environment["DOTNET_TieredCompilation"] = "0";
        using Process process = Process.Start(start)!;
        Task<string> reading = process.StandardOutput.ReadToEndAsync(TestContext.Current.CancellationToken);
        await process.WaitForExitAsync(TestContext.Current.CancellationToken).WaitAsync(Longest, TestContext.Current.CancellationToken);
        string output = await reading;
        Assert.True(process.ExitCode == 0, output);
        Assert.Contains("holds  tensors: 0 -> 0", output, StringComparison.Ordinal);
    }

    /// <summary>The folder below a project that programs are built to, as these tests are.</summary>
    private static string Below()
    {
        string tests = Path.Combine(Fixtures.Root, "tests", "DiffusionGemma.MLNet.Tests");
        return Path.GetRelativePath(tests, AppContext.BaseDirectory);
    }
}
