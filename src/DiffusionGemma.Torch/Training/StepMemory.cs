using System.Diagnostics;
using TorchSharp;
using static TorchSharp.torch;

namespace DiffusionGemma;

/// <summary>
/// The most memory in use at a step's phases: of a GPU by the driver's count, which covers other processes too; on a CPU the peak that the
/// system keeps of this process.
/// </summary>
/// <param name="device">The rank's device.</param>
internal sealed class StepMemory(Device device)
{
    private long _most;

    /// <summary>Reads a GPU's memory, where more is held than before: after passes, and after the backward. Waits for nothing.</summary>
    public void Sample()
    {
        if (device.type == DeviceType.CUDA && CudaMemory.TryRead(device.index, out CudaMemory memory)) _most = Math.Max(_most, memory.Used);
    }

    /// <summary>
    /// Returns the peak in bytes since the last call; on a CPU, or where CUDA's runtime is not found, the process's since it began.
    /// </summary>
    public long TakePeak()
    {
        Sample();
        (long most, _most) = (_most, 0);
        if (most > 0) return most;
        using Process process = Process.GetCurrentProcess();
        return process.PeakWorkingSet64;
    }
}
