using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics.X86;

namespace DiffusionGemma;

/// <summary>
/// Requests a cache line before it is read. Any address is allowed; where .NET has no such instruction for the processor, nothing is done.
/// </summary>
internal static unsafe class Prefetch
{
    /// <summary>Into all levels of the cache.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Near(float* address)
    {
        if (Sse.IsSupported) Sse.Prefetch0(address);
    }

    /// <summary>Into the second level, where the first has no room.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Far(float* address)
    {
        if (Sse.IsSupported) Sse.Prefetch1(address);
    }
}
