using System.Runtime.CompilerServices;

namespace DiffusionGemma;

/// <summary>
/// gelu_tanh(gate) · up of one row in one pass over memory. ½ (1 + tanh v) = σ(2v), so with v = √(2/π) (x + 0.044715 x³): gelu(x) = x s
/// with s = σ(2v), gelu'(x) = s + x s (1 - s) · 2 √(2/π) (1 + 3 · 0.044715 x²).
/// </summary>
internal static unsafe class GatedGeluRows<L>
    where L : struct, ILanes<L>
{
    private const float Root = 0.7978845608028654f, Cubic = 0.044715f;

    /// <summary>y = w gelu(gate) · up.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Forward(float* gate, float* up, float* y, float weight, long width)
    {
        L w = L.Create(weight);
        for (long i = 0; i < width; i += L.Count)
        {
            L x = L.Load(gate + i);
            (x * Share(x, x * x) * L.Load(up + i) * w).Store(y + i);
        }
    }

    /// <summary>dgate = w dy · up · gelu'(gate), dup = w dy · gelu(gate); returns dw = Σ dy · gelu(gate) · up.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static float Backward(float* dy, float* gate, float* up, float weight, float* dGate, float* dUp, long width)
    {
        L w = L.Create(weight), sum = L.Create(0), one = L.Create(1);
        for (long i = 0; i < width; i += L.Count)
        {
            L x = L.Load(gate + i), square = x * x, s = Share(x, square), gelu = x * s, u = L.Load(up + i), d = L.Load(dy + i);
            sum = L.MultiplyAdd(d * gelu, u, sum);
            d *= w;
            L slope = L.MultiplyAdd(square, L.Create(6 * Root * Cubic), L.Create(2 * Root));
            (d * u * L.MultiplyAdd(gelu * (one - s), slope, s)).Store(dGate + i);
            (d * gelu).Store(dUp + i);
        }
        return sum.Sum();
    }

    /// <summary>s.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static L Share(L x, L square) =>
        LanesMath<L>.Sigmoid(x * L.MultiplyAdd(square, L.Create(2 * Root * Cubic), L.Create(2 * Root)));
}
