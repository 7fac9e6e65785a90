using System.Diagnostics;
using TorchSharp;
using static TorchSharp.torch;

namespace DiffusionGemma.Gpu;

/// <summary>Times work of a device: on a GPU by its own events, so that what the host does beside it is not counted.</summary>
internal static class DeviceClock
{
    /// <summary>Returns the seconds of one call, the mean of several after a first one.</summary>
    public static double Seconds(Device device, int calls, Action work)
    {
        work();
        if (device.type == DeviceType.CUDA)
        {
            using var timer = CudaTimer.Start(Math.Max(device.index, 0));
            for (int n = 0; n < calls; n++) work();
            return timer.Stop().TotalSeconds / calls;
        }
        long start = Stopwatch.GetTimestamp();
        for (int n = 0; n < calls; n++) work();
        return Stopwatch.GetElapsedTime(start).TotalSeconds / calls;
    }
}
