using System.Runtime.InteropServices;

namespace DiffusionGemma;

/// <summary>The version that a loaded libtorch states.</summary>
internal static unsafe class LibTorchVersion
{
    /// <summary>Returns the version of the libtorch that TorchSharp's native library uses; null for one older than 2.10.</summary>
    public static Version? OfProcess() =>
        NativeLibrary.TryLoad("LibTorchSharp", typeof(LibTorchVersion).Assembly, null, out nint library) ? Of(library) : null;

    /// <summary>Reads the version; null for one older than 2.10, which does not state it.</summary>
    /// <param name="library">libtorch_cpu, or a library that needs it.</param>
    public static Version? Of(nint library)
    {
        if (!NativeLibrary.TryGetExport(library, "aoti_torch_abi_version", out nint function)) return null;
        // TORCH_ABI_VERSION: a byte each for major, minor and patch, from the highest
        ulong version = ((delegate* unmanaged<ulong>)function)();
        return new Version((int)(version >> 56), (int)(version >> 48 & 0xFF), (int)(version >> 40 & 0xFF));
    }
}
