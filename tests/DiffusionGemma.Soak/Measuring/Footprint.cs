using System.Diagnostics;
using System.Globalization;
using System.Runtime;
using TorchSharp;

namespace DiffusionGemma.Soak;

/// <summary>Everything that this process holds: memory by kind in bytes, and counts of everything else that could grow.</summary>
internal sealed record Footprint
{
    private const double Mebi = 1 << 20;

    /// <summary>Bytes of physical memory.</summary>
    public required long Resident { get; init; }

    /// <summary>Resident bytes that belong to no file.</summary>
    public required long Anonymous { get; init; }

    public required NativeHeap Native { get; init; }

    /// <summary>Bytes that the collector holds, in use or not.</summary>
    public required long Managed { get; init; }

    /// <summary>Methods that were compiled.</summary>
    public required long Methods { get; init; }

    public required int Threads { get; init; }

    /// <summary>Open file descriptors.</summary>
    public required int Descriptors { get; init; }

    /// <summary>Memory mappings of files and of anonymous memory.</summary>
    public required int Mappings { get; init; }

    /// <summary>Live tensors.</summary>
    public required long Tensors { get; init; }

    /// <summary>Reads the footprint after a full collection.</summary>
    public static Footprint Measure()
    {
        GCSettings.LargeObjectHeapCompactionMode = GCLargeObjectHeapCompactionMode.CompactOnce;
        GC.Collect(2, GCCollectionMode.Aggressive, blocking: true, compacting: true);
        GC.WaitForPendingFinalizers();
        GC.Collect(2, GCCollectionMode.Aggressive, blocking: true, compacting: true);
        using Process process = Process.GetCurrentProcess();
        bool isLinux = OperatingSystem.IsLinux();
        return new Footprint
        {
            Resident = process.WorkingSet64,
            Anonymous = isLinux ? Status("RssAnon:") : process.PrivateMemorySize64,
            Native = NativeHeap.Read(),
            Managed = GC.GetGCMemoryInfo().TotalCommittedBytes,
            Methods = JitInfo.GetCompiledMethodCount(),
            Threads = process.Threads.Count,
            Descriptors = isLinux ? Directory.GetFileSystemEntries("/proc/self/fd").Length : process.HandleCount,
            Mappings = isLinux ? File.ReadLines("/proc/self/maps").Count() : 0,
            Tensors = torch.Tensor.TotalCount,
        };
    }

    public override string ToString() => string.Create(CultureInfo.InvariantCulture,
        $"resident {Resident / Mebi:F1} MiB (anonymous {Anonymous / Mebi:F1})  "
        + $"native {Native.Used / Mebi:F1} used, {Native.Free / Mebi:F1} free, "
        + $"{Native.Mapped / Mebi:F1} mapped  managed {Managed / Mebi:F1} MiB  methods {Methods}  threads {Threads}  "
        + $"descriptors {Descriptors}  mappings {Mappings}  tensors {Tensors}");

    /// <summary>A value of /proc/self/status in bytes.</summary>
    private static long Status(string key)
    {
        string line = File.ReadLines("/proc/self/status").First(l => l.StartsWith(key, StringComparison.Ordinal));
        return 1024 * long.Parse(line.AsSpan(key.Length).Trim().TrimEnd(" kB"), CultureInfo.InvariantCulture);
    }
}
