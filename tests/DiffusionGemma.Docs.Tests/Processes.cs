using System.Diagnostics;
using System.Runtime.InteropServices;

namespace DiffusionGemma;

/// <summary>Runs programs of the .NET SDK, and waits for them.</summary>
internal static class Processes
{
    /// <summary>The collection of tests that start them: one after the other.</summary>
    public const string OneByOne = "processes that compute, one after the other";

    private static readonly TimeSpan Limit = TimeSpan.FromHours(1);

    private static readonly string Host = Path.GetFullPath(
        Path.Combine(RuntimeEnvironment.GetRuntimeDirectory(), "..", "..", "..", OperatingSystem.IsWindows() ? "dotnet.exe" : "dotnet"));

    /// <summary>Runs dotnet in a folder, and fails the test where it does not end with 0.</summary>
    /// <returns>Its standard output.</returns>
    public static async Task<string> DotnetAsync(string folder, params string[] arguments)
    {
        var start = new ProcessStartInfo(Host, arguments)
        {
            WorkingDirectory = folder, RedirectStandardOutput = true, RedirectStandardError = true, UseShellExecute = false,
        };
        using Process process = Process.Start(start)!;
        Task<string> output = process.StandardOutput.ReadToEndAsync(), errors = process.StandardError.ReadToEndAsync();
        using var limit = new CancellationTokenSource(Limit);
        try
        {
            await process.WaitForExitAsync(limit.Token);
        }
        catch (OperationCanceledException)
        {
            process.Kill(entireProcessTree: true);
            throw new TimeoutException($"dotnet {string.Join(' ', arguments)} did not end within {Limit}.");
        }
        Assert.True(process.ExitCode == 0,
            $"dotnet {string.Join(' ', arguments)} ended with {process.ExitCode}.\n{await output}\n{await errors}");
        return await output;
    }
}
