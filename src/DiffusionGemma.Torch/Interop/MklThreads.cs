using System.Runtime.InteropServices;

namespace DiffusionGemma;

/// <summary>Number of threads of Intel's MKL, which computes libtorch's products of float32 matrices on x86 processors.</summary>
internal static unsafe class MklThreads
{
    /// <summary>MKL's function, which sets the calling thread's number and returns the one before; null where libtorch has none.</summary>
    private static readonly delegate* unmanaged<int, int> SetHere = Find();

    /// <summary>
    /// True where the number of a single thread can be set. libtorch for Linux exports the function, libtorch for Windows does not.
    /// </summary>
    public static bool IsFound => SetHere != null;

    /// <summary>Sets the number of the calling thread and returns the one before; 0 stands for the process's number.</summary>
    public static int Exchange(int threads) => SetHere(threads);

    private static delegate* unmanaged<int, int> Find() =>
        NativeLibrary.TryLoad("LibTorchSharp", typeof(MklThreads).Assembly, null, out nint library)
        && NativeLibrary.TryGetExport(library, "MKL_Set_Num_Threads_Local", out nint function)
            ? (delegate* unmanaged<int, int>)function
            : null;
}
