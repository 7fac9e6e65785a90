using System.ComponentModel;
using System.Diagnostics;

namespace DiffusionGemma.Gpu;

/// <summary>Stage 5: stage 1, cut small, under NVIDIA's compute-sanitizer, which reports faulty reads and writes of kernels.</summary>
internal static class SanitizerStage
{
    private const string Tool = "compute-sanitizer";

    private static readonly TimeSpan Most = TimeSpan.FromMinutes(5);

    public static void Run(GpuOptions options, GpuReport report)
    {
        if (options.IsCpu)
        {
            report.Skip(Tool, "it watches kernels of a GPU, and --device is cpu.");
            return;
        }
        string folder = Path.Combine(options.Out, "sanitizer");
        try
        {
            using Process process = Process.Start(new ProcessStartInfo(Tool,
                ["--tool", "memcheck", "--error-exitcode", "9", Environment.ProcessPath!, "--stage-child", "1", "--quick", "--out", folder,
                    "--python", options.Python])
            {
                RedirectStandardOutput = true,
            })!;
            Task<string> output = process.StandardOutput.ReadToEndAsync();
            bool ended = process.WaitForExit(Most);
            if (!ended) process.Kill(entireProcessTree: true);
            process.WaitForExit();
            string last = string.Join('\n', output.Result.Trim().Split('\n').TakeLast(20));
            report.Check(Tool, ended && process.ExitCode == 0, null, "", ended ? $"exit {process.ExitCode}" : $"stopped after {Most}");
            report.Note(Tool, last);
        }
        catch (Win32Exception)
        {
            report.Skip(Tool, "is not installed (it comes with CUDA's toolkit).");
        }
    }
}
