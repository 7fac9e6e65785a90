using System.Diagnostics;

namespace DiffusionGemma.Benchmarks;

/// <summary>Processor time of this process since the clock was made: other programs beside it do not count.</summary>
internal sealed class ProcessorClock
{
    private readonly double _start = Now();

    public double Milliseconds => Now() - _start;

    private static double Now()
    {
        using Process process = Process.GetCurrentProcess();
        return process.TotalProcessorTime.TotalMilliseconds;
    }
}
