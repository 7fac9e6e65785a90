namespace DiffusionGemma;

/// <summary>Memory of a GPU as CUDA's runtime counts it, in bytes: that of other processes and libtorch's cached blocks included.</summary>
internal readonly record struct CudaMemory(long Free, long Total)
{
    public long Used => Total - Free;

    /// <summary>Reads it, where CUDA's runtime can be found.</summary>
    public static bool TryRead(int device, out CudaMemory memory)
    {
        memory = default;
        if (!GpuLibraries.HasRuntime) return false;
        memory = Read(device);
        return true;
    }

    /// <summary>Reads it; the calling thread's device stays selected.</summary>
    /// <param name="device">The index of a CUDA device.</param>
    /// <exception cref="DllNotFoundException">CUDA's runtime cannot be loaded.</exception>
    /// <exception cref="System.Runtime.InteropServices.ExternalException">CUDA reports an error.</exception>
    public static CudaMemory Read(int device) => CudaRuntime.On(device, () =>
    {
        CudaRuntime.Check(CudaRuntime.cudaMemGetInfo(out nuint free, out nuint total));
        return new CudaMemory((long)free, (long)total);
    });
}
