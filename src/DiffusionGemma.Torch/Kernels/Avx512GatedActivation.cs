using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using static TorchSharp.torch;
using Lanes = System.Runtime.Intrinsics.Vector512<float>;

namespace DiffusionGemma;

/// <summary>
/// gelu_tanh(gate) · up for float32 on one core with AVX-512, in one pass over memory. ½ (1 + tanh v) = σ(2v), so with v = √(2/π) (x + 0.044715 x³):
/// gelu(x) = x s with s = σ(2v), gelu'(x) = s + x s (1 - s) · 2 √(2/π) (1 + 3 · 0.044715 x²).
/// </summary>
internal static unsafe class Avx512GatedActivation
{
    /// <summary>Of a number, about.</summary>
    private const long Operations = 60;

    private const float Root = 0.7978845608028654f, Cubic = 0.044715f;

    /// <summary>y = w gelu(gate) · up.</summary>
    /// <param name="gate">[N,F]; rows may lie apart.</param>
    /// <param name="up">[N,F], likewise.</param>
    /// <param name="weights">w [N,1], or null: ones.</param>
    /// <returns>[N,F]; null where nothing was done: another dtype, device or processor, more threads than one, or an F that is no multiple of sixteen.</returns>
    public static Tensor? TryForward(Tensor gate, Tensor up, Tensor? weights)
    {
        if (!Fits(gate) || !Fits(up) || weights is not null && !Avx512Products.IsPlainFloat(weights)) return null;
        long rows = gate.shape[0], width = gate.shape[1];
        Tensor y = empty(rows, width, dtype: gate.dtype);
        float* g = (float*)NativeTensors.Data(gate), u = (float*)NativeTensors.Data(up), to = (float*)NativeTensors.Data(y), w = weights is null ? null : (float*)NativeTensors.Data(weights);
        long ofGate = gate.stride(0), ofUp = up.stride(0);
        KernelThreads.For(rows, Operations * y.numel(), (first, end) =>
        {
            for (long row = first; row < end; row++) Forward(g + row * ofGate, u + row * ofUp, to + row * width, w == null ? 1 : w[row], width);
        });
        GC.KeepAlive(gate);
        GC.KeepAlive(up);
        GC.KeepAlive(weights);
        GC.KeepAlive(y);
        return y;
    }

    /// <summary>dgate = w dy · up · gelu'(gate), dup = w dy · gelu(gate), dw = Σ dy · gelu(gate) · up.</summary>
    /// <param name="dy">[N,F].</param>
    /// <param name="gate">As above.</param>
    /// <param name="up">As above.</param>
    /// <param name="weights">As above.</param>
    /// <param name="dGate">[N,F]; rows may lie apart; written.</param>
    /// <param name="dUp">Likewise.</param>
    /// <param name="dWeights">[N,1], or null: not wanted; written.</param>
    /// <returns>False where nothing was done, as above.</returns>
    public static bool TryBackward(Tensor dy, Tensor gate, Tensor up, Tensor? weights, Tensor dGate, Tensor dUp, Tensor? dWeights)
    {
        if (!Fits(dy) || !Fits(gate) || !Fits(up) || !Fits(dGate) || !Fits(dUp) || weights is not null && !Avx512Products.IsPlainFloat(weights)) return false;
        long rows = gate.shape[0], width = gate.shape[1];
        float* d = (float*)NativeTensors.Data(dy), g = (float*)NativeTensors.Data(gate), u = (float*)NativeTensors.Data(up), toGate = (float*)NativeTensors.Data(dGate), toUp = (float*)NativeTensors.Data(dUp);
        float* w = weights is null ? null : (float*)NativeTensors.Data(weights), toWeights = dWeights is null ? null : (float*)NativeTensors.Data(dWeights);
        (long ofDy, long ofGate, long ofUp, long ofDGate, long ofDUp) = (dy.stride(0), gate.stride(0), up.stride(0), dGate.stride(0), dUp.stride(0));
        for (long row = 0; row < rows; row++)
        {
            float sum = Backward(d + row * ofDy, g + row * ofGate, u + row * ofUp, w == null ? 1 : w[row], toGate + row * ofDGate, toUp + row * ofDUp, width);
            if (toWeights != null) toWeights[row] = sum;
        }
        GC.KeepAlive(dy);
        GC.KeepAlive(gate);
        GC.KeepAlive(up);
        GC.KeepAlive(weights);
        GC.KeepAlive(dGate);
        GC.KeepAlive(dUp);
        GC.KeepAlive(dWeights);
        return true;
    }

    private static bool Fits(Tensor rows) => Avx512Products.IsPlain(rows) && rows.dim() == 2 && rows.stride(1) == 1 && rows.shape[1] % 16 == 0;

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Forward(float* gate, float* up, float* y, float weight, long width)
    {
        Lanes w = Vector512.Create(weight);
        for (long i = 0; i < width; i += 16)
        {
            Lanes x = Vector512.Load(gate + i);
            (x * Share(x, x * x) * Vector512.Load(up + i) * w).Store(y + i);
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static float Backward(float* dy, float* gate, float* up, float weight, float* dGate, float* dUp, long width)
    {
        Lanes w = Vector512.Create(weight), sum = Lanes.Zero;
        for (long i = 0; i < width; i += 16)
        {
            Lanes x = Vector512.Load(gate + i), square = x * x, s = Share(x, square), gelu = x * s, u = Vector512.Load(up + i), d = Vector512.Load(dy + i);
            sum = Vector512.FusedMultiplyAdd(d * gelu, u, sum);
            d *= w;
            Lanes slope = Vector512.FusedMultiplyAdd(square, Vector512.Create(6 * Root * Cubic), Vector512.Create(2 * Root));
            (d * u * Vector512.FusedMultiplyAdd(gelu * (Lanes.One - s), slope, s)).Store(dGate + i);
            (d * gelu).Store(dUp + i);
        }
        return Vector512.Sum(sum);
    }

    /// <summary>s.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Lanes Share(Lanes x, Lanes square) =>
        Avx512Math.Sigmoid(x * Vector512.FusedMultiplyAdd(square, Vector512.Create(2 * Root * Cubic), Vector512.Create(2 * Root)));
}
