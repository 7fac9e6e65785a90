using System.Diagnostics;
using TorchSharp;

namespace DiffusionGemma.Gpu;

/// <summary>
/// The most memory that is in use between its creation and its end: of a GPU by the driver's count, which every framework's share is
/// a part of alike, read a thousand times a second; of the CPU the process's resident memory, by the system's own count of the peak.
/// </summary>
internal sealed class PeakMemory : IDisposable
{
    private readonly Thread? _reader;
    private readonly int _device;
    private long _most;
    private volatile bool _ends;

    public PeakMemory(torch.Device device)
    {
        _device = Math.Max(device.index, 0);
        if (device.type == DeviceType.CUDA)
        {
            _most = CudaMemory.Read(_device).Used;
            _reader = new Thread(Watch) { IsBackground = true, Name = "peak memory" };
            _reader.Start();
        }
        else if (OperatingSystem.IsLinux())
            File.WriteAllText("/proc/self/clear_refs", "5");
    }

    public double Gib => Bytes / (double)(1L << 30);

    public long Bytes
    {
        get
        {
            if (_reader is not null) return Interlocked.Read(ref _most);
            using var process = Process.GetCurrentProcess();
            return process.PeakWorkingSet64;
        }
    }

    public void Dispose()
    {
        _ends = true;
        _reader?.Join();
    }

    private void Watch()
    {
        while (!_ends)
        {
            long used = CudaMemory.Read(_device).Used;
            if (used > Interlocked.Read(ref _most)) Interlocked.Exchange(ref _most, used);
            Thread.Sleep(1);
        }
    }
}
