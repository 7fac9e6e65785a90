using static TorchSharp.torch;

namespace DiffusionGemma;

/// <summary>
/// Number of threads of libtorch's operators. It is a setting of each thread, but also the initial setting of threads that use torch for
/// the first time afterwards, and a thread's first use overwrites an earlier setting of its own.
/// </summary>
internal static class TorchThreads
{
    /// <summary>Sets the number of the calling thread.</summary>
    public static void SetHere(int threads)
    {
        // the first use, before another thread's setting could come in between
        _ = get_num_threads();
        set_num_threads(threads);
    }

    /// <summary>Sets the number of the calling thread, and the number that new threads begin with.</summary>
    public static void SetHere(int threads, int elsewhere)
    {
        SetHere(threads);
        var other = new Thread(() => set_num_threads(elsewhere));
        other.Start();
        other.Join();
    }
}
