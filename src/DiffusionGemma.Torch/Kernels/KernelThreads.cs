using System.Runtime.Intrinsics.X86;
using TorchSharp;
using static TorchSharp.torch;

namespace DiffusionGemma;

/// <summary>
/// The threads that this library's own kernels use, in place of torch's: those spin for a while after every operator, in the way of any others, so while
/// kernels have several threads torch's operators have one. Results do not depend on the number.
/// </summary>
internal static class KernelThreads
{
    /// <summary>Operations that are worth another thread: some 20 microseconds of one core.</summary>
    private const long LeastOperations = 2_000_000;

    [ThreadStatic]
    private static int _more;

    /// <summary>Of kernels that the calling thread runs.</summary>
    public static int Count => 1 + _more;

    /// <summary>Until what is returned is disposed, torch's threads of the calling thread are the kernels'. Null where that would gain nothing.</summary>
    public static IDisposable? Take(Device device, ScalarType dtype)
    {
        int threads = get_num_threads();
        return TryKeep(device, dtype) ? new Taken(threads) : null;
    }

    /// <summary>The same for good. False where that would gain nothing: another device or dtype or processor, or one thread alone.</summary>
    public static bool TryKeep(Device device, ScalarType dtype)
    {
        int threads = get_num_threads();
        if (threads == 1 || device.type != DeviceType.CPU || dtype != ScalarType.Float32 || !Avx512F.IsSupported) return false;
        TorchThreads.SetHere(1, elsewhere: threads);
        _more = threads - 1;
        return true;
    }

    /// <summary>Runs a body over parts of <paramref name="items"/>, [from, to) each, side by side where they are work enough.</summary>
    /// <param name="items">How many.</param>
    /// <param name="operations">Multiplications and additions of all of them.</param>
    /// <param name="body">Must not throw, nor make tensors.</param>
    /// <param name="partsPerThread">Of several, one that is late leaves little to wait for; but each begins anew.</param>
    public static void For(long items, long operations, Action<long, long> body, int partsPerThread = 4)
    {
        long parts = Count == 1 ? 1 : Math.Min(Math.Min(items, operations / LeastOperations), Count * partsPerThread);
        if (parts <= 1) body(0, items);
        else
            Parallel.For(0, (int)parts, new ParallelOptions { MaxDegreeOfParallelism = Count }, part => body(items * part / parts, items * (part + 1) / parts));
    }

    private sealed class Taken(int threads) : IDisposable
    {
        public void Dispose()
        {
            _more = 0;
            TorchThreads.SetHere(threads);
        }
    }
}
