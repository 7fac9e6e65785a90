using System.Runtime.InteropServices;
using System.Text;

namespace DiffusionGemma;

/// <summary>NVIDIA's driver library (libcuda), which says which GPUs a machine has, whatever the backend can use.</summary>
internal static unsafe class CudaDriver
{
    private const int Success = 0, MajorAttribute = 75, MinorAttribute = 76;

    /// <summary>Describes each GPU: name, compute capability, memory. Empty where there is no driver or no GPU.</summary>
    /// <param name="version">The CUDA version that the driver supports; null where there is no driver.</param>
    public static IReadOnlyList<string> Describe(out Version? version)
    {
        version = null;
        if (!NativeLibrary.TryLoad(OperatingSystem.IsWindows() ? "nvcuda.dll" : "libcuda.so.1", out nint library)) return [];
        if (!Find(library, "cuInit", out nint initialize) || !Find(library, "cuDriverGetVersion", out nint driverVersion)
            || !Find(library, "cuDeviceGetCount", out nint countOf) || !Find(library, "cuDeviceGet", out nint get)
            || !Find(library, "cuDeviceGetName", out nint nameOf) || !Find(library, "cuDeviceTotalMem_v2", out nint memoryOf)
            || !Find(library, "cuDeviceGetAttribute", out nint attributeOf))
            return [];
        int number, count;
        if (((delegate* unmanaged<int*, int>)driverVersion)(&number) == Success) version = new Version(number / 1000, number % 1000 / 10);
        if (((delegate* unmanaged<uint, int>)initialize)(0) != Success) return [];
        if (((delegate* unmanaged<int*, int>)countOf)(&count) != Success) return [];
        var gpus = new List<string>();
        byte* name = stackalloc byte[256];
        for (int i = 0; i < count; i++)
        {
            int device, major = 0, minor = 0;
            nuint memory = 0;
            if (((delegate* unmanaged<int*, int, int>)get)(&device, i) != Success) continue;
            if (((delegate* unmanaged<byte*, int, int, int>)nameOf)(name, 255, device) != Success) name[0] = 0;
            _ = ((delegate* unmanaged<nuint*, int, int>)memoryOf)(&memory, device);
            _ = ((delegate* unmanaged<int*, int, int, int>)attributeOf)(&major, MajorAttribute, device);
            _ = ((delegate* unmanaged<int*, int, int, int>)attributeOf)(&minor, MinorAttribute, device);
            string text = Encoding.UTF8.GetString(MemoryMarshal.CreateReadOnlySpanFromNullTerminated(name));
            gpus.Add(FormattableString.Invariant($"{text}, compute capability {major}.{minor}, {memory / (double)(1L << 30):0.0} GiB"));
        }
        return gpus;
    }

    private static bool Find(nint library, string name, out nint function) => NativeLibrary.TryGetExport(library, name, out function);
}
