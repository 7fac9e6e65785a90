using System.Runtime.InteropServices;

namespace DiffusionGemma;

/// <summary>
/// Gives free memory inside the C library's heap back to the system. glibc up to 2.37 cannot use a freed aligned block again for another of its
/// size (glibc bug 14581): between activations that stay, what came and went leaves holes of more than the activations' own size.
/// </summary>
internal static partial class HeapTrim
{
    private static readonly bool HasGlibc = OperatingSystem.IsLinux() && NativeLibrary.TryLoad("libc.so.6", out nint library) && NativeLibrary.TryGetExport(library, "malloc_trim", out _);

    public static void Run()
    {
        if (HasGlibc) malloc_trim(0);
    }

    [LibraryImport("libc.so.6")]
    private static partial int malloc_trim(nuint pad);
}
