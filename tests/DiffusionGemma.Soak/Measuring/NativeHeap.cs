using System.Runtime.InteropServices;

namespace DiffusionGemma.Soak;

/// <summary>State of glibc's heap, over all its arenas.</summary>
/// <param name="Used">Bytes in use.</param>
/// <param name="Free">Bytes that were freed and not given back to the system.</param>
/// <param name="Mapped">Bytes of large blocks, each with a mapping of its own.</param>
internal readonly partial record struct NativeHeap(long Used, long Free, long Mapped)
{
    private static readonly bool HasGlibc =
        OperatingSystem.IsLinux() && NativeLibrary.TryLoad("libc.so.6", out nint library)
            && NativeLibrary.TryGetExport(library, "mallinfo2", out _);

    /// <summary>Reads the state now; zeros without glibc.</summary>
    public static NativeHeap Read()
    {
        if (!HasGlibc) return default;
        Info info = mallinfo2();
        return new NativeHeap((long)info.Used, (long)info.Free, (long)info.Mapped);
    }

    [LibraryImport("libc.so.6")]
    private static partial Info mallinfo2();

    /// <summary>glibc's struct mallinfo2.</summary>
    [StructLayout(LayoutKind.Sequential)]
    private readonly struct Info
    {
        private readonly nuint _arena, _chunks, _fastChunks, _mappings;
        public readonly nuint Mapped;
        private readonly nuint _most, _fast;
        public readonly nuint Used, Free;
        private readonly nuint _top;
    }
}
