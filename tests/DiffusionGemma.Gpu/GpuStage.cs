using System.Diagnostics;
using System.Runtime.InteropServices;

namespace DiffusionGemma.Gpu;

/// <summary>
/// A stage. Each runs in a process of its own: one that fails, hangs or is ended by a native fault leaves the others' results and the
/// device's memory.
/// </summary>
/// <param name="Number">1 to 5.</param>
/// <param name="Name">What it does.</param>
/// <param name="Most">The time that it has on a GPU; those of stages 1 to 4 add up to eight minutes.</param>
/// <param name="Run">Does it.</param>
internal sealed record GpuStage(int Number, string Name, TimeSpan Most, Action<GpuOptions, GpuReport> Run)
{
    /// <summary>The time that a stage has on a CPU, which others may use too.</summary>
    private static readonly TimeSpan MostOnCpu = TimeSpan.FromMinutes(15);

    public static IReadOnlyList<GpuStage> All { get; } =
    [
        new(1, "load, self-test, fixtures", TimeSpan.FromSeconds(100), LoadStage.Run),
        new(2, "speed beside transformers and PEFT", TimeSpan.FromSeconds(120), SpeedStage.Run),
        new(3, "the released shape", TimeSpan.FromSeconds(220), LargeStage.Run),
        new(4, "NCCL", TimeSpan.FromSeconds(40), NcclStage.Run),
        new(5, "compute-sanitizer", TimeSpan.FromSeconds(300), SanitizerStage.Run),
    ];

    /// <summary>Starts the stage's process, waits for its end, and records what it did not record itself.</summary>
    /// <returns>False where a signal asks this process to end.</returns>
    public bool Start(GpuOptions options, GpuReport report)
    {
        report.Stage = Number;
        Console.Error.WriteLine($"stage {Number}: {Name}");
        TimeSpan most = options.IsCpu ? MostOnCpu : Most;
        long start = Stopwatch.GetTimestamp();
        string? fault = null;
        PosixSignal? signal = null;
        using (Process process = Process.Start(new ProcessStartInfo(
            Environment.ProcessPath!, ["--stage-child", $"{Number}", .. options.Arguments]))!)
        {
            // A stage that outlived this process would keep the device.
            void Stop(PosixSignalContext context)
            {
                context.Cancel = true;
                signal = context.Signal;
                process.Kill(entireProcessTree: true);
            }
            using PosixSignalRegistration term = PosixSignalRegistration.Create(PosixSignal.SIGTERM, Stop),
                interrupt = PosixSignalRegistration.Create(PosixSignal.SIGINT, Stop);
            bool ended = process.WaitForExit(most);
            if (!ended) process.Kill(entireProcessTree: true);
            process.WaitForExit();
            if (signal is not null) fault = $"stopped by {signal}; what it had recorded is kept, and later stages are not run";
            else if (!ended) fault = $"stopped after {most.TotalSeconds:0} s; what it had recorded is kept";
            else if (process.ExitCode != 0) fault = $"its process ended with {process.ExitCode}";
        }
        report.ReadLines();
        if (fault is not null) report.Fail(Name, fault);
        report.Time(Stopwatch.GetElapsedTime(start), Name);
        report.Write();
        return signal is null;
    }

    /// <summary>Runs the stage in this process.</summary>
    public void RunHere(GpuOptions options)
    {
        using var report = new GpuReport(options, Number);
        report.Part(Name, () => Run(options, report));
    }
}
