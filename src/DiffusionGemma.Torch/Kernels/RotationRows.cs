using System.Runtime.CompilerServices;

namespace DiffusionGemma;

/// <summary>Rotary position embedding of one head at one position, in one pass over memory.</summary>
internal static unsafe class RotationRows<L>
    where L : struct, ILanes<L>
{
    /// <summary>[x1 ; x2] -> [x1 cos1 - x2 sin1 ; x2 cos2 + x1 sin2], or its transpose [x1 cos1 + x2 sin2 ; x2 cos2 - x1 sin1].</summary>
    /// <param name="x">[2 · half].</param>
    /// <param name="cos">[2 · half].</param>
    /// <param name="sin">[2 · half].</param>
    /// <param name="y">[2 · half]; written.</param>
    /// <param name="half">A multiple of <see cref="ILanes{T}.Count"/>.</param>
    /// <param name="transposed">Whether the transpose is wanted.</param>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Rotate(float* x, float* cos, float* sin, float* y, long half, bool transposed)
    {
        for (long i = 0; i < half; i += L.Count)
        {
            L x1 = L.Load(x + i), x2 = L.Load(x + half + i), s1 = L.Load(sin + i), s2 = L.Load(sin + half + i);
            if (transposed) (s1, s2) = (-s2, -s1);
            L.MultiplyAdd(x1, L.Load(cos + i), -(x2 * s1)).Store(y + i);
            L.MultiplyAdd(x2, L.Load(cos + half + i), x1 * s2).Store(y + half + i);
        }
    }
}
