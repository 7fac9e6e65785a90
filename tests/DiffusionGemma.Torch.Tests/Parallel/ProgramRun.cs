using System.ComponentModel;
using System.Diagnostics;

namespace DiffusionGemma;

/// <summary>A program that was run to its end.</summary>
internal sealed record ProgramRun(int Exit, string Output, string Errors, TimeSpan Elapsed)
{
    private static readonly TimeSpan Most = TimeSpan.FromMinutes(30);

    /// <summary>The program that tests start as a rank.</summary>
    public static string Ranks => Path.Combine(AppContext.BaseDirectory, "DiffusionGemma.Ranks");

    public override string ToString() =>
        $"exit {Exit} after {Elapsed.TotalSeconds:0.0} s{Environment.NewLine}{Output}{Environment.NewLine}{Errors}";

    /// <summary>Null where there is no such program. One that does not end within half an hour is killed, and fails the test.</summary>
    public static ProgramRun? Start(string program, string[] arguments, params (string Name, string Value)[] environment)
    {
        var start = new ProcessStartInfo(program, arguments)
        {
            RedirectStandardOutput = true, RedirectStandardError = true, RedirectStandardInput = true,
        };
        foreach ((string name, string value) in environment) start.Environment[name] = value;
        var watch = Stopwatch.StartNew();
        try
        {
            using Process process = Process.Start(start)!;
            process.StandardInput.Close();
            Task<string> output = process.StandardOutput.ReadToEndAsync(), errors = process.StandardError.ReadToEndAsync();
            bool ended = process.WaitForExit(Most);
            if (!ended) process.Kill(entireProcessTree: true);
            var run = new ProgramRun(ended ? process.ExitCode : -1, output.Result, errors.Result, watch.Elapsed);
            Assert.True(ended, $"{program} has not ended: {run}");
            return run;
        }
        catch (Win32Exception)
        {
            return null;
        }
    }
}
