using static TorchSharp.torch;

namespace DiffusionGemma;

/// <summary>
/// The threads that operators use, which are a thread's own setting: but it is also what threads begin with that use torch for the first time
/// afterwards, and a thread's first use overwrites what was set on it before.
/// </summary>
internal static class TorchThreads
{
    /// <summary>Sets the calling thread's, for good.</summary>
    public static void SetHere(int threads)
    {
        _ = get_num_threads();                                                                   // the first use, before another thread's setting could come in between
        set_num_threads(threads);
    }

    /// <summary>Sets the calling thread's, and what other threads will begin with.</summary>
    public static void SetHere(int threads, int elsewhere)
    {
        SetHere(threads);
        var other = new Thread(() => set_num_threads(elsewhere));
        other.Start();
        other.Join();
    }
}
