using System.Collections.Concurrent;
using System.Runtime.InteropServices;

namespace DiffusionGemma;

/// <summary>
/// Finds NCCL and CUDA's runtime for the classes that import from them, on their first call. Libraries that libtorch has already loaded
/// come first, whatever their file names (packages use names such as libcudart-9335f6a2.so.12); then the common names.
/// </summary>
internal static class GpuLibraries
{
    public const string Nccl = "nccl", Runtime = "cudart";

    // Static: an assembly may set its resolver only once.
    private static readonly Lazy<bool> Registered = new(() =>
    {
        NativeLibrary.SetDllImportResolver(
            typeof(GpuLibraries).Assembly, (name, _, _) => name is Nccl or Runtime ? Find(name) : 0);
        return true;
    });

    // Static: a library that was found stays loaded, and memory is read too often to search for it each time.
    private static readonly ConcurrentDictionary<string, nint> Found = new();

    /// <summary>True where CUDA's runtime can be loaded.</summary>
    public static bool HasRuntime
    {
        get
        {
            try
            {
                RequireRuntime();
                return true;
            }
            catch (DllNotFoundException)
            {
                return false;
            }
        }
    }

    /// <summary>Loads CUDA's runtime alone.</summary>
    /// <exception cref="DllNotFoundException">It cannot be loaded.</exception>
    public static void RequireRuntime()
    {
        _ = Registered.Value;
        Find(Runtime);
    }

    /// <summary>Returns the address of a function of CUDA's runtime.</summary>
    /// <param name="names">Its names in different versions; the first one that is there.</param>
    /// <exception cref="DllNotFoundException">The runtime cannot be loaded.</exception>
    /// <exception cref="EntryPointNotFoundException">It has none of the names.</exception>
    public static nint RuntimeFunction(params string[] names)
    {
        nint library = Find(Runtime);
        foreach (string name in names)
            if (NativeLibrary.TryGetExport(library, name, out nint function)) return function;
        throw new EntryPointNotFoundException(
            $"The loaded CUDA runtime has no function {string.Join(" or ", names)}: use one of CUDA 12 or 13.");
    }

    /// <summary>Loads both libraries.</summary>
    /// <exception cref="DllNotFoundException">A library cannot be loaded; the message lists the names that were tried, and what to
    /// install.</exception>
    public static void Require()
    {
        _ = Registered.Value;
        Find(Runtime);
        Find(Nccl);
    }

    /// <summary>Returns the version of NCCL; null, and why, where there is none.</summary>
    public static unsafe Version? NcclVersion(out string reason)
    {
        reason = "";
        try
        {
            int version;
            if (NativeLibrary.TryGetExport(Find(Nccl), "ncclGetVersion", out nint function)
                && ((delegate* unmanaged<int*, int>)function)(&version) == 0)
                return new Version(version / 10_000, version / 100 % 100, version % 100);
            reason = "ncclGetVersion fails.";
        }
        catch (DllNotFoundException e)
        {
            reason = e.Message;
        }
        return null;
    }

    private static nint Find(string name) => Found.TryGetValue(name, out nint library) ? library : Found.GetOrAdd(name, Load(name));

    private static nint Load(string name)
    {
        // libtorch's builds may carry NCCL inside of libtorch_cuda.so; its functions are then exported there.
        (string probe, string[] names, string advice) = name == Nccl
            ? ("ncclCommSplit", new[] { "libnccl.so.2", "libtorch_cuda.so" },
                "install NCCL 2.19 or newer (libnccl2), or put the folder of libnccl.so.2 into LD_LIBRARY_PATH")
            : ("cudaEventQuery",
                OperatingSystem.IsWindows() ? ["cudart64_12.dll", "cudart64_13.dll"]
                    : ["libcudart.so.12", "libcudart.so.13", "libcudart.so"],
                "reference TorchSharp's CUDA package, or put the folder of libcudart.so.12 into LD_LIBRARY_PATH");
        string[] tried = [.. Mapped($"/lib{name}"), .. names];
        foreach (string one in tried)
        {
            if (!NativeLibrary.TryLoad(one, typeof(GpuLibraries).Assembly, null, out nint library)) continue;
            if (NativeLibrary.TryGetExport(library, probe, out _)) return library;
            NativeLibrary.Free(library);
        }
        throw new DllNotFoundException(
            $"Several GPUs need {(name == Nccl ? "NCCL" : "CUDA's runtime")}, and none of {string.Join(", ", tried)} can be loaded or has "
            + $"{probe}: {advice}.");
    }

    /// <summary>Lists files mapped into this process whose path contains <paramref name="part"/>.</summary>
    private static IEnumerable<string> Mapped(string part) => !OperatingSystem.IsLinux() ? [] :
    [
        .. File.ReadLines("/proc/self/maps")
            .Where(line => line.Contains(part, StringComparison.Ordinal)).Select(line => line[line.IndexOf('/')..]).Distinct(),
    ];
}
