using System.Diagnostics;

namespace DiffusionGemma.Samples;

/// <summary>The samples of typed answers as processes of their own, on a few rows: their tables are whole, whatever they learn.</summary>
public sealed class TypedSamplesTests : IDisposable
{
    private static readonly TimeSpan Longest = TimeSpan.FromMinutes(30);
    private readonly TemporaryFolder _folder = Fixtures.Temporary("typed");

    public void Dispose() => _folder.Dispose();

    [Fact]
    public void ExtractOrders_prints_a_table_of_typed_columns()
    {
        string said = Run("ExtractOrders", "--rows", "16", "--held-out", "3", "--max-steps", "2");
        Assert.Equal(2, said.Split("valid 100.0 %").Length - 1);
        Assert.Equal(2, said.Split("count ").Length - 1);
        Assert.Contains("under the grammar", said, StringComparison.Ordinal);
        string[] lines = said.TrimEnd().ReplaceLineEndings("\n").Split('\n');
        Assert.StartsWith("Item ", lines[^4], StringComparison.Ordinal);
        Assert.All(lines[^3..], line => Assert.EndsWith(".", line, StringComparison.Ordinal));
    }

    [Fact]
    public void Classify_compares_the_ways_to_make_scores()
    {
        string said = Run("Classify", "--rows", "16", "--held-out", "4", "--max-steps", "2");
        Assert.Equal(5, said.Split("log-loss ").Length - 1);
        Assert.Equal(5, said.Split("expected calibration error ").Length - 1);
        Assert.Contains("last pass", said, StringComparison.Ordinal);
    }

    private string Run(string sample, params string[] arguments)
    {
        string built = Path.GetRelativePath(Path.Combine(Fixtures.Root, "tests", "DiffusionGemma.MLNet.Tests"), AppContext.BaseDirectory);
        string program = Path.Combine(
            Fixtures.Root, "samples", sample, built, OperatingSystem.IsWindows() ? $"{sample}.exe" : sample);
        var start = new ProcessStartInfo(program, [.. arguments, "--out", _folder.File(sample)])
        {
            RedirectStandardOutput = true, RedirectStandardError = true,
        };
        using Process process = Process.Start(start)!;
        Task<string> errors = process.StandardError.ReadToEndAsync();
        string said = process.StandardOutput.ReadToEnd();
        Assert.True(process.WaitForExit(Longest));
        Assert.True(process.ExitCode == 0, said + errors.Result);
        return said;
    }
}
