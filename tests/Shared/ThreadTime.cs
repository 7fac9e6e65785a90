using System.Runtime.InteropServices;

namespace DiffusionGemma;

/// <summary>Processor time of the calling thread.</summary>
internal static partial class ThreadTime
{
    private const int LinuxThreadClock = 3, MacThreadClock = 16;

    /// <summary>Seconds of processor time; null on systems without such a clock.</summary>
    public static double? Seconds()
    {
        if (!OperatingSystem.IsLinux() && !OperatingSystem.IsMacOS()) return null;
        _ = clock_gettime(OperatingSystem.IsLinux() ? LinuxThreadClock : MacThreadClock, out Time time);
        return time.Seconds + (time.Nanoseconds * 1e-9);
    }

    [DllImport("libc")]
    private static extern int clock_gettime(int clock, out Time time);

    private readonly record struct Time(long Seconds, long Nanoseconds);
}
