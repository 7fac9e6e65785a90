using static TorchSharp.torch;

namespace DiffusionGemma;

internal sealed unsafe partial class ManagedKernels
{
    /// <summary>Operations a number, about; memory counts too.</summary>
    private const long NormOperations = 20, GeluOperations = 60, RotationOperations = 20;

    /// <summary>y = r · x · w.</summary>
    /// <param name="x">[...,H].</param>
    /// <param name="weight">[H], or null: ones.</param>
    /// <param name="epsilon">ε.</param>
    /// <returns>y; null where nothing was done.</returns>
    public Tensor? TryRmsNorm(Tensor x, Tensor? weight, double epsilon)
    {
        if (!AreContiguous(x, weight) || x.shape[^1] % vectors.Count != 0) return null;
        Tensor y = empty(x.shape, dtype: x.dtype, device: CPU);
        long width = x.shape[^1];
        float* from = Data(x), to = Data(y), w = Data(weight);
        KernelThreads.For(x.numel() / width, NormOperations * x.numel(), (first, end) =>
        {
            for (long row = first; row < end; row++) vectors.RmsNorm(from + row * width, w, to + row * width, width, epsilon);
        });
        KeepAlive(x, weight, y);
        return y;
    }

    /// <summary>dx = r · (g w) - x · r³ · mean(g w x); and dw += Σ g r x, on one thread: its order is that of the rows.</summary>
    /// <param name="x">[...,H].</param>
    /// <param name="gradient">g [...,H].</param>
    /// <param name="weight">[H], or null: ones.</param>
    /// <param name="epsilon">ε.</param>
    /// <param name="buffer">dw [H], or null: not wanted.</param>
    /// <returns>dx; null where nothing was done.</returns>
    public Tensor? TryRmsNormBackward(Tensor x, Tensor gradient, Tensor? weight, double epsilon, Tensor? buffer)
    {
        if (!AreContiguous(x, gradient, weight, buffer) || x.shape[^1] % vectors.Count != 0) return null;
        Tensor dx = empty(x.shape, dtype: x.dtype, device: CPU);
        long width = x.shape[^1], rows = x.numel() / width;
        float* from = Data(x), g = Data(gradient), to = Data(dx), w = Data(weight), dw = Data(buffer);
        void Rows(long first, long end)
        {
            for (long row = first; row < end; row++)
                vectors.RmsNormBackward(from + row * width, g + row * width, w, to + row * width, dw, width, epsilon);
        }
        if (buffer is null) KernelThreads.For(rows, NormOperations * x.numel(), Rows);
        else Rows(0, rows);
        KeepAlive(x, gradient, weight, buffer, dx);
        return dx;
    }

    /// <summary>y = w gelu(gate) · up.</summary>
    /// <param name="gate">[N,F]; rows may lie apart.</param>
    /// <param name="up">[N,F], likewise.</param>
    /// <param name="weights">w [N,1], or null: ones.</param>
    /// <returns>[N,F]; null where nothing was done.</returns>
    public Tensor? TryGatedGelu(Tensor gate, Tensor up, Tensor? weights)
    {
        if (!AreRows(gate, up) || !AreContiguous(weights)) return null;
        long rows = gate.shape[0], width = gate.shape[1], ofGate = gate.stride(0), ofUp = up.stride(0);
        Tensor y = empty(rows, width, dtype: gate.dtype, device: CPU);
        float* g = Data(gate), u = Data(up), to = Data(y), w = Data(weights);
        KernelThreads.For(rows, GeluOperations * y.numel(), (first, end) =>
        {
            for (long row = first; row < end; row++)
                vectors.GatedGelu(g + row * ofGate, u + row * ofUp, to + row * width, w == null ? 1 : w[row], width);
        });
        KeepAlive(gate, up, weights, y);
        return y;
    }

    /// <summary>dgate = w dy · up · gelu'(gate), dup = w dy · gelu(gate), dw = Σ dy · gelu(gate) · up.</summary>
    /// <param name="dy">[N,F]; rows may lie apart.</param>
    /// <param name="gate">As above.</param>
    /// <param name="up">As above.</param>
    /// <param name="weights">As above.</param>
    /// <param name="dGate">[N,F]; rows may lie apart; written.</param>
    /// <param name="dUp">Likewise.</param>
    /// <param name="dWeights">[N,1], or null: not wanted; written.</param>
    /// <returns>False where nothing was done.</returns>
    public bool TryGatedGeluBackward(Tensor dy, Tensor gate, Tensor up, Tensor? weights, Tensor dGate, Tensor dUp, Tensor? dWeights)
    {
        if (!AreRows(dy, gate, up, dGate, dUp) || !AreContiguous(weights, dWeights)) return false;
        long rows = gate.shape[0], width = gate.shape[1];
        float* d = Data(dy), g = Data(gate), u = Data(up), w = Data(weights);
        float* toGate = Data(dGate), toUp = Data(dUp), toWeights = Data(dWeights);
        (long ofDy, long ofGate, long ofUp, long ofDGate, long ofDUp) =
            (dy.stride(0), gate.stride(0), up.stride(0), dGate.stride(0), dUp.stride(0));
        KernelThreads.For(rows, GeluOperations * rows * width, (first, end) =>
        {
            for (long row = first; row < end; row++)
            {
                float sum = vectors.GatedGeluBackward(
                    d + row * ofDy, g + row * ofGate, u + row * ofUp, w == null ? 1 : w[row],
                    toGate + row * ofDGate, toUp + row * ofDUp, width);
                if (toWeights != null) toWeights[row] = sum;
            }
        });
        KeepAlive(dy, gate, up, weights, dGate, dUp, dWeights);
        return true;
    }

    /// <summary>[x1 ; x2] -> [x1 cos1 - x2 sin1 ; x2 cos2 + x1 sin2], or its transpose.</summary>
    /// <param name="x">[B,h,S,D], a head's numbers together.</param>
    /// <param name="cos">[B,1,S,D], or [1,1,S,D] for all rows.</param>
    /// <param name="sin">Likewise.</param>
    /// <param name="transposed">Whether the transpose is wanted.</param>
    /// <returns>[B,h,S,D], laid out as [B,S,h,D]; null where nothing was done.</returns>
    public Tensor? TryRotate(Tensor x, Tensor cos, Tensor sin, bool transposed)
    {
        (long batch, long heads, long length, long width) = (x.shape[0], x.shape[1], x.shape[2], x.shape[3]);
        long angles = cos.shape[0] * length;
        if (!AreContiguous(cos, sin) || cos.shape[0] != batch && cos.shape[0] != 1) return null;
        if (x.stride(3) != 1 || width % (2 * vectors.Count) != 0) return null;
        Tensor y = empty(batch, length, heads, width, dtype: x.dtype, device: CPU);
        (long ofRow, long ofHead, long ofPlace) = (x.stride(0), x.stride(1), x.stride(2));
        float* from = Data(x), c = Data(cos), s = Data(sin), to = Data(y);
        KernelThreads.For(batch * length, RotationOperations * x.numel(), (first, end) =>
        {
            for (long place = first; place < end; place++)
                for (long head = 0; head < heads; head++)
                    vectors.Rotate(
                        from + place / length * ofRow + place % length * ofPlace + head * ofHead,
                        c + place % angles * width, s + place % angles * width,
                        to + (place * heads + head) * width, width / 2, transposed);
        });
        KeepAlive(x, cos, sin, y);
        return y.transpose(1, 2);
    }
}
