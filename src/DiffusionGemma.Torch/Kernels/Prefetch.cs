using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics.X86;

namespace DiffusionGemma;

/// <summary>Requests for a cache line before it is read; any address will do, and processors that .NET has no such instruction for read later.</summary>
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
