using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;
using Lanes = System.Runtime.Intrinsics.Vector512<float>;

namespace DiffusionGemma;

/// <summary>Functions of sixteen numbers at once.</summary>
internal static class Avx512Math
{
    /// <summary>
    /// eˣ = 2ⁿ eʳ with n = x / ln 2, rounded, and |r| ≤ ln 2 / 2: Cephes' <c>expf</c> (its polynomial and its ln 2 in two parts), good to two units of
    /// the last place. Beyond ±104 float32 has only zero and infinity.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lanes Exp(Lanes x)
    {
        x = Avx512F.Min(Vector512.Create(104f), Avx512F.Max(Vector512.Create(-104f), x));       // of these the second operand is what a NaN gives
        Lanes n = Avx512F.RoundScale(x * Vector512.Create(1.44269504088896341f), 0);
        Lanes r = Vector512.FusedMultiplyAdd(n, Vector512.Create(-0.693359375f), x);
        r = Vector512.FusedMultiplyAdd(n, Vector512.Create(2.12194440e-4f), r);
        Lanes p = Vector512.Create(1.9875691500e-4f);
        p = Vector512.FusedMultiplyAdd(p, r, Vector512.Create(1.3981999507e-3f));
        p = Vector512.FusedMultiplyAdd(p, r, Vector512.Create(8.3334519073e-3f));
        p = Vector512.FusedMultiplyAdd(p, r, Vector512.Create(4.1665795894e-2f));
        p = Vector512.FusedMultiplyAdd(p, r, Vector512.Create(1.6666665459e-1f));
        p = Vector512.FusedMultiplyAdd(p, r, Vector512.Create(5.0000001201e-1f));
        return Avx512F.Scale(Vector512.FusedMultiplyAdd(p, r * r, r + Lanes.One), n);
    }

    /// <summary>σ(x) = 1 / (1 + e⁻ˣ).</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lanes Sigmoid(Lanes x) => Lanes.One / (Lanes.One + Exp(-x));
}
