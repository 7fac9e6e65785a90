using System.ComponentModel;
using System.Diagnostics;
using System.Globalization;
using System.Text.Json;

namespace DiffusionGemma.Gpu;

/// <summary>The reference side: build/gpu/reference.py, in a process of its own, whose device memory is free again when it ends.</summary>
internal static class PythonReference
{
    private static readonly TimeSpan Most = TimeSpan.FromMinutes(5);

    /// <summary>Returns why there is no reference to compare with; null where there is.</summary>
    public static string? Missing(GpuOptions options)
    {
        (int exit, string output, string errors) = Start(
            options.Python, ["-c", "import torch, transformers, peft, accelerate; print(torch.__version__)"]);
        if (exit == 0 && output.Length > 0) return null;
        string reason = errors.Trim().Split('\n')[^1];
        return $"{options.Python} has no PyTorch, transformers and PEFT ({(reason.Length > 0 ? reason : "no such program")}).";
    }

    /// <summary>Measures, and records each of the script's lines.</summary>
    /// <param name="options">The program's options.</param>
    /// <param name="report">Receives each figure as <c>reference.NAME</c>.</param>
    /// <param name="prefix">Put before the names.</param>
    /// <param name="arguments">The script's.</param>
    public static void Run(GpuOptions options, GpuReport report, string prefix, params string[] arguments)
    {
        string script = Path.Combine(Fixtures.Root, "build", "gpu", "reference.py");
        (int exit, string output, string errors) = Start(
            options.Python, [script, .. arguments, "--device", options.IsCpu ? "cpu" : "cuda"]);
        foreach (string line in output.Split('\n').Where(line => line.StartsWith('{')))
        {
            using JsonDocument figure = JsonDocument.Parse(line);
            report.Figure(
                $"{prefix}.{figure.RootElement.GetProperty("name").GetString()}", figure.RootElement.GetProperty("value").GetDouble(),
                figure.RootElement.GetProperty("unit").GetString()!, "transformers, PEFT");
        }
        if (exit != 0)
            report.Skip($"{prefix}.reference", string.Create(
                CultureInfo.InvariantCulture, $"reference.py {string.Join(' ', arguments)} ended with {exit}: {Tail(errors)}"));
    }

    private static string Tail(string text) => string.Join(" / ", text.Trim().Split('\n').TakeLast(4));

    private static (int Exit, string Output, string Errors) Start(string program, string[] arguments)
    {
        try
        {
            using Process process = Process.Start(new ProcessStartInfo(program, arguments)
            {
                RedirectStandardOutput = true, RedirectStandardError = true,
            })!;
            Task<string> output = process.StandardOutput.ReadToEndAsync(), errors = process.StandardError.ReadToEndAsync();
            if (!process.WaitForExit(Most)) process.Kill(entireProcessTree: true);
            process.WaitForExit();
            return (process.ExitCode, output.Result, errors.Result);
        }
        catch (Win32Exception e)
        {
            return (127, "", e.Message);
        }
    }
}
