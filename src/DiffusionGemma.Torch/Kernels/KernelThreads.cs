using TorchSharp;

namespace DiffusionGemma;

/// <summary>
/// Parts of a kernel's work side by side, on as many threads as the calling thread's libtorch operators have, and on the same ones.
/// </summary>
internal static class KernelThreads
{
    /// <summary>Operations that are worth another thread: some 20 microseconds of one core.</summary>
    private const long LeastOperations = 2_000_000;

    /// <summary>Threads of kernels that the calling thread runs.</summary>
    public static int Count => torch.get_num_threads();

    /// <summary>Runs a body over parts of <paramref name="items"/>, [from, to) each, side by side where they are work enough.</summary>
    /// <param name="items">How many.</param>
    /// <param name="operations">Multiplications and additions of all of them.</param>
    /// <param name="body">Must make no tensors.</param>
    /// <param name="partsPerThread">Several leave little to wait for where one is late, but each begins anew.</param>
    public static void For(long items, long operations, Action<long, long> body, int partsPerThread = 4)
    {
        long most = Math.Min(items, operations / LeastOperations);
        int threads = most <= 1 ? 1 : (int)Math.Min(Count, most);
        if (threads == 1)
        {
            body(0, items);
            return;
        }
        long parts = Math.Min(most, (long)threads * partsPerThread);
        OpenMp.Run(threads, (int)parts, part => body(items * part / parts, items * (part + 1) / parts));
    }

    /// <summary>Runs a body for each of some parts, side by side.</summary>
    /// <param name="parts">How many.</param>
    /// <param name="body">Called once for each part; disposes of the tensors that it makes.</param>
    public static void ForParts(int parts, Action<int> body)
    {
        if (Count > 1 && parts > 1) OpenMp.Run(Math.Min(Count, parts), parts, body);
        else for (int part = 0; part < parts; part++) body(part);
    }
}
