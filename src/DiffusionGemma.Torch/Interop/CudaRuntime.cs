using System.Runtime.InteropServices;

namespace DiffusionGemma;

/// <summary>
/// Functions of CUDA's runtime (libcudart.so.12 or .13) that TorchSharp lacks: selecting a thread's device, memory, and events.
/// libtorch computes on stream 0.
/// </summary>
internal static unsafe partial class CudaRuntime
{
    /// <summary>cudaEventDisableTiming.</summary>
    public const uint WithoutTiming = 2;

    /// <summary>cudaEventDefault.</summary>
    public const uint WithTiming = 0;

    /// <summary>cudaDevAttrComputeCapabilityMajor.</summary>
    private const int MajorAttribute = 75;

    private const int Success = 0, NotReady = 600;

    /// <summary>The names of one function; version 13 may have the second alone.</summary>
    private static readonly string[] ElapsedTimeNames = ["cudaEventElapsedTime", "cudaEventElapsedTime_v2"];

    public static void Check(int code)
    {
        if (code != Success) throw new ExternalException($"CUDA error {code}: {Marshal.PtrToStringUTF8(cudaGetErrorString(code))}", code);
    }

    /// <summary>Calls a function with a device selected; the calling thread's own stays selected after it.</summary>
    /// <param name="device">The index of a CUDA device.</param>
    /// <param name="call">The function.</param>
    /// <exception cref="DllNotFoundException">CUDA's runtime cannot be loaded.</exception>
    /// <exception cref="ExternalException">CUDA reports an error.</exception>
    public static T On<T>(int device, Func<T> call)
    {
        GpuLibraries.RequireRuntime();
        Check(cudaGetDevice(out int selected));
        Check(cudaSetDevice(device));
        try
        {
            return call();
        }
        finally
        {
            Check(cudaSetDevice(selected));
        }
    }

    /// <summary>Returns true when all work before the event is done.</summary>
    public static bool Done(nint recorded)
    {
        int code = cudaEventQuery(recorded);
        if (code == NotReady) return false;
        Check(code);
        return true;
    }

    /// <summary>Returns the time between two recorded events with timing, and waits until the device has reached the second.</summary>
    /// <exception cref="EntryPointNotFoundException">CUDA's runtime lacks a function of events.</exception>
    /// <exception cref="ExternalException">CUDA reports an error.</exception>
    public static TimeSpan Between(nint first, nint second)
    {
        Check(cudaEventSynchronize(second));
        float milliseconds;
        Check(((delegate* unmanaged<float*, nint, nint, int>)GpuLibraries.RuntimeFunction(ElapsedTimeNames))(
            &milliseconds, first, second));
        return TimeSpan.FromMilliseconds(milliseconds);
    }

    /// <summary>Returns the first number of a GPU's compute capability; 0 where CUDA's runtime cannot be loaded.</summary>
    /// <param name="device">The index of a CUDA device.</param>
    public static int MajorCapability(int device)
    {
        if (!GpuLibraries.HasRuntime) return 0;
        Check(cudaDeviceGetAttribute(out int value, MajorAttribute, device));
        return value;
    }

    [LibraryImport(GpuLibraries.Runtime)]
    private static partial int cudaDeviceGetAttribute(out int value, int attribute, int device);

    [LibraryImport(GpuLibraries.Runtime)]
    private static partial nint cudaGetErrorString(int code);

    [LibraryImport(GpuLibraries.Runtime)]
    public static partial int cudaGetDevice(out int device);

    [LibraryImport(GpuLibraries.Runtime)]
    public static partial int cudaSetDevice(int device);

    [LibraryImport(GpuLibraries.Runtime)]
    public static partial int cudaMemGetInfo(out nuint free, out nuint total);

    [LibraryImport(GpuLibraries.Runtime)]
    public static partial int cudaEventCreateWithFlags(out nint created, uint flags);

    [LibraryImport(GpuLibraries.Runtime)]
    public static partial int cudaEventDestroy(nint created);

    [LibraryImport(GpuLibraries.Runtime)]
    public static partial int cudaEventRecord(nint created, nint stream);

    [LibraryImport(GpuLibraries.Runtime)]
    private static partial int cudaEventSynchronize(nint recorded);

    [LibraryImport(GpuLibraries.Runtime)]
    private static partial int cudaEventQuery(nint recorded);
}
