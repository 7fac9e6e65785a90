using System.ComponentModel;
using System.Diagnostics;

namespace DiffusionGemma;

/// <summary>Several processes of the program DiffusionGemma.Ranks, started by mpirun.</summary>
internal sealed record MpiRun(int Exit, string Output, string Errors, TimeSpan Elapsed)
{
    private static readonly TimeSpan Most = TimeSpan.FromSeconds(60);

    public override string ToString() => $"exit {Exit} after {Elapsed.TotalSeconds:0.0} s{Environment.NewLine}{Output}{Environment.NewLine}{Errors}";

    /// <summary>What the rank printed.</summary>
    public string Of(int rank)
    {
        string start = $"rank {rank}: ";
        string? line = Output.Split('\n').FirstOrDefault(line => line.Contains(start, StringComparison.Ordinal));
        Assert.True(line is not null, $"Rank {rank} said nothing: {this}");
        return line[(line.IndexOf(start, StringComparison.Ordinal) + start.Length)..].TrimEnd('\r');
    }

    public static MpiRun Start(int ranks, params string[] scenario)
    {
        string[] options = ["--allow-run-as-root", "--oversubscribe", "--bind-to", "none", "-n", $"{ranks}"];
        var start = new ProcessStartInfo("mpirun", [.. options, Path.Combine(AppContext.BaseDirectory, "DiffusionGemma.Ranks"), .. scenario])
        {
            RedirectStandardOutput = true, RedirectStandardError = true, RedirectStandardInput = true,
        };
        var watch = Stopwatch.StartNew();
        try
        {
            using Process process = Process.Start(start)!;
            process.StandardInput.Close();
            Task<string> output = process.StandardOutput.ReadToEndAsync(), errors = process.StandardError.ReadToEndAsync();
            bool ended = process.WaitForExit(Most);
            if (!ended) process.Kill(entireProcessTree: true);
            var run = new MpiRun(ended ? process.ExitCode : -1, output.Result, errors.Result, watch.Elapsed);
            Assert.True(ended, $"mpirun has not ended: {run}");
            return run;
        }
        catch (Win32Exception)
        {
            Assert.Skip("There is no mpirun: several processes need openmpi-bin and libopenmpi3.");
            throw;
        }
    }
}
