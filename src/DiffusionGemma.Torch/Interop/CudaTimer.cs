namespace DiffusionGemma;

/// <summary>
/// Times work of a GPU by two events on libtorch's stream: the device notes when it reaches each, so that what the host does in the
/// meantime, or waits for, is not counted.
/// <code>
/// using var timer = CudaTimer.Start(device.index);
/// ...                                                queue work
/// TimeSpan took = timer.Stop();                      waits for it
/// </code>
/// </summary>
internal sealed class CudaTimer : IDisposable
{
    private readonly int _device;
    private nint _start, _end;

    private CudaTimer(int device) => _device = device;

    /// <summary>Records the start; the calling thread's device stays selected.</summary>
    /// <param name="device">The index of a CUDA device.</param>
    /// <exception cref="DllNotFoundException">CUDA's runtime cannot be loaded.</exception>
    /// <exception cref="System.Runtime.InteropServices.ExternalException">CUDA reports an error.</exception>
    public static CudaTimer Start(int device)
    {
        var timer = new CudaTimer(device);
        try
        {
            return CudaRuntime.On(device, () =>
            {
                CudaRuntime.Check(CudaRuntime.cudaEventCreateWithFlags(out timer._start, CudaRuntime.WithTiming));
                CudaRuntime.Check(CudaRuntime.cudaEventCreateWithFlags(out timer._end, CudaRuntime.WithTiming));
                CudaRuntime.Check(CudaRuntime.cudaEventRecord(timer._start, 0));
                return timer;
            });
        }
        catch
        {
            timer.Dispose();
            throw;
        }
    }

    /// <summary>Records the end, waits until the device has reached it, and returns the time between both.</summary>
    /// <exception cref="System.Runtime.InteropServices.ExternalException">CUDA reports an error, of earlier work perhaps.</exception>
    public TimeSpan Stop() => CudaRuntime.On(_device, () =>
    {
        CudaRuntime.Check(CudaRuntime.cudaEventRecord(_end, 0));
        return CudaRuntime.Between(_start, _end);
    });

    /// <summary>Frees the events.</summary>
    public void Dispose()
    {
        foreach (nint made in new[] { _start, _end })
            if (made != 0) _ = CudaRuntime.cudaEventDestroy(made);
        (_start, _end) = (0, 0);
    }
}
