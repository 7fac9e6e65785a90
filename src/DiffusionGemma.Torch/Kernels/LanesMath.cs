using System.Runtime.CompilerServices;

namespace DiffusionGemma;

/// <summary>Functions of a register's numbers.</summary>
internal static class LanesMath<L>
    where L : struct, ILanes<L>
{
    /// <summary>
    /// eˣ = 2ⁿ eʳ with n = x / ln 2, rounded, and |r| ≤ ln 2 / 2: Cephes' <c>expf</c> (its polynomial and its ln 2 in two parts), good to
    /// two units of the last place. Beyond ±104 float32 has only zero and infinity.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static L Exp(L x)
    {
        x = L.Min(L.Create(104f), L.Max(L.Create(-104f), x));                                  // x is the second operand: a NaN stays one
        L n = L.Round(x * L.Create(1.44269504088896341f));
        L r = L.MultiplyAdd(n, L.Create(-0.693359375f), x);
        r = L.MultiplyAdd(n, L.Create(2.12194440e-4f), r);
        L p = L.Create(1.9875691500e-4f);
        p = L.MultiplyAdd(p, r, L.Create(1.3981999507e-3f));
        p = L.MultiplyAdd(p, r, L.Create(8.3334519073e-3f));
        p = L.MultiplyAdd(p, r, L.Create(4.1665795894e-2f));
        p = L.MultiplyAdd(p, r, L.Create(1.6666665459e-1f));
        p = L.MultiplyAdd(p, r, L.Create(5.0000001201e-1f));
        return L.Scale(L.MultiplyAdd(p, r * r, r + L.Create(1)), n);
    }

    /// <summary>σ(x) = 1 / (1 + e⁻ˣ).</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static L Sigmoid(L x) => L.Create(1) / (L.Create(1) + Exp(-x));
}
