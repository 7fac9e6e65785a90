using System.Diagnostics;

namespace DiffusionGemma.Soak;

/// <summary>One tenth of a part of the soak: how much was done, in how much time, and what the process held afterwards.</summary>
/// <param name="Work">Answers or rows.</param>
/// <param name="Time">Wall time.</param>
/// <param name="ProcessorTime">Processor time of all threads.</param>
/// <param name="After">What the process held.</param>
internal sealed record Slice(Work Work, TimeSpan Time, TimeSpan ProcessorTime, Footprint After)
{
    public double PerSecond => Work.Done / Time.TotalSeconds;

    /// <summary>Processor time of one answer or row.</summary>
    public double Milliseconds => ProcessorTime.TotalMilliseconds / Work.Done;

    /// <summary>Measures what is done.</summary>
    public static async Task<Slice> MeasureAsync(Func<Task<Work>> work)
    {
        TimeSpan processor = Environment.CpuUsage.TotalTime;
        long start = Stopwatch.GetTimestamp();
        Work done = await work();
        TimeSpan time = Stopwatch.GetElapsedTime(start);
        return new Slice(done, time, Environment.CpuUsage.TotalTime - processor, Footprint.Measure());
    }
}
