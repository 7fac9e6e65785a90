using System.Runtime.ExceptionServices;
using System.Runtime.InteropServices;

namespace DiffusionGemma;

/// <summary>
/// The threads of libtorch's own OpenMP runtime. Between operators they wait for work without sleep, in the way of any other threads; work
/// that they do themselves they begin at once.
/// </summary>
internal static unsafe class OpenMp
{
    /// <summary>
    /// GNU's entry to a parallel region, which LLVM's and Intel's runtimes export too; null where libtorch has none of them.
    /// </summary>
    private static readonly delegate* unmanaged<delegate* unmanaged<nint, void>, nint, uint, uint, void> ParallelRegion = Find();

    /// <summary>True where the runtime was found; otherwise .NET's thread pool does the work.</summary>
    public static bool IsFound => ParallelRegion != null;

    /// <summary>
    /// Runs a body for each of some parts, in no particular order, on the calling thread and others; returns when all are done.
    /// </summary>
    /// <param name="threads">Two or more.</param>
    /// <param name="parts">Any number.</param>
    /// <param name="body">Called once for each part. The first exception ends the work and is thrown.</param>
    public static void Run(int threads, int parts, Action<int> body)
    {
        if (!IsFound)
        {
            Parallel.For(0, parts, new ParallelOptions { MaxDegreeOfParallelism = threads }, body);
            return;
        }
        var work = new Work(parts, body);
        GCHandle handle = GCHandle.Alloc(work);
        try
        {
            ParallelRegion(&Enter, GCHandle.ToIntPtr(handle), (uint)threads, 0);
        }
        finally
        {
            handle.Free();
        }
        work.Failure?.Throw();
    }

    [UnmanagedCallersOnly]
    private static void Enter(nint work) => ((Work)GCHandle.FromIntPtr(work).Target!).Run();

    /// <summary>A library's symbols include those of the libraries that it needs.</summary>
    private static delegate* unmanaged<delegate* unmanaged<nint, void>, nint, uint, uint, void> Find() =>
        NativeLibrary.TryLoad("LibTorchSharp", typeof(OpenMp).Assembly, null, out nint library)
        && NativeLibrary.TryGetExport(library, "GOMP_parallel", out nint region)
            ? (delegate* unmanaged<delegate* unmanaged<nint, void>, nint, uint, uint, void>)region
            : null;

    private sealed class Work(int parts, Action<int> body)
    {
        private int _next;

        public ExceptionDispatchInfo? Failure { get; private set; }

        public void Run()
        {
            try
            {
                while (Failure is null && Interlocked.Increment(ref _next) is var part && part <= parts) body(part - 1);
            }
            catch (Exception e)
            {
                Failure = ExceptionDispatchInfo.Capture(e);
            }
        }
    }
}
