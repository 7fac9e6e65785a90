using System.ComponentModel;
using System.Diagnostics;
using System.Globalization;
using System.Text.Json;

namespace DiffusionGemma.Gpu;

/// <summary>The reference side: build/gpu/reference.py, in a process of its own, whose device memory is free again when it ends.</summary>
internal static class PythonReference
{
    private static readonly TimeSpan Most = TimeSpan.FromMinutes(5);

    /// <summary>Finds packages without importing them, which takes long: prints versions, or fails with the missing names.</summary>
    private const string Versions = """
        import sys
        from importlib.metadata import PackageNotFoundError, version
        found, missing = [], []
        for name in ("torch", "transformers", "peft", "accelerate"):
            try:
                found.append(name + " " + version(name))
            except PackageNotFoundError:
                missing.append(name)
        print(", ".join(found))
        sys.exit("without " + ", ".join(missing) if missing else 0)
        """;

    /// <summary>Returns true where there is a reference to compare with, and records its versions; else records why not.</summary>
    /// <param name="options">The program's options.</param>
    /// <param name="report">Receives the versions, or the reason.</param>
    /// <param name="name">What is left out without it.</param>
    public static bool IsThere(GpuOptions options, GpuReport report, string name)
    {
        var found = new List<string>();
        (int exit, string errors) = Start(options.Python, ["-c", Versions], found.Add);
        if (exit == 0)
        {
            report.Note($"{name}.versions", string.Join('\n', found));
            return true;
        }
        string reason = errors.Trim().Split('\n')[^1];
        report.Skip(
            name, $"there is nothing to compare with: {options.Python} has no PyTorch, transformers, PEFT and accelerate ({reason}).");
        return false;
    }

    /// <summary>Measures, and records each of the script's lines as it comes.</summary>
    /// <param name="options">The program's options.</param>
    /// <param name="report">Receives each figure as <c>PREFIX.NAME</c>.</param>
    /// <param name="prefix">Put before the names.</param>
    /// <param name="arguments">The script's.</param>
    public static void Run(GpuOptions options, GpuReport report, string prefix, params string[] arguments)
    {
        string script = Path.Combine(Fixtures.Root, "build", "gpu", "reference.py");
        (int exit, string errors) = Start(
            options.Python, [script, .. arguments, "--device", options.IsCpu ? "cpu" : "cuda"], line =>
            {
                if (!line.StartsWith('{')) return;
                using JsonDocument figure = JsonDocument.Parse(line);
                report.Figure(
                    $"{prefix}.{figure.RootElement.GetProperty("name").GetString()}", figure.RootElement.GetProperty("value").GetDouble(),
                    figure.RootElement.GetProperty("unit").GetString()!, "transformers, PEFT");
            });
        if (exit != 0)
            report.Skip($"{prefix}.reference", string.Create(
                CultureInfo.InvariantCulture, $"reference.py {string.Join(' ', arguments)} ended with {exit}: {Tail(errors)}"));
    }

    private static string Tail(string text) => string.Join(" / ", text.Trim().Split('\n').TakeLast(4));

    private static (int Exit, string Errors) Start(string program, string[] arguments, Action<string> onLine)
    {
        try
        {
            using Process process = Process.Start(new ProcessStartInfo(program, arguments)
            {
                RedirectStandardOutput = true, RedirectStandardError = true,
            })!;
            Task<string> errors = process.StandardError.ReadToEndAsync();
            using var watch = new Timer(_ => process.Kill(entireProcessTree: true), null, Most, Timeout.InfiniteTimeSpan);
            while (process.StandardOutput.ReadLine() is { } line) onLine(line);
            process.WaitForExit();
            return (process.ExitCode, errors.Result);
        }
        catch (Win32Exception e)
        {
            return (127, e.Message);
        }
    }
}
