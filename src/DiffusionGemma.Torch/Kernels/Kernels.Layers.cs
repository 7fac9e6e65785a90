using static TorchSharp.torch;

namespace DiffusionGemma;

internal static partial class Kernels
{
    /// <summary>y = r · x · w with r = (mean(x²) + ε)^-½ over the last dimension, computed in at least float32 and rounded once.</summary>
    /// <param name="x">[...,H].</param>
    /// <param name="weight">w [H]; null: ones.</param>
    /// <param name="epsilon">ε.</param>
    /// <returns>[...,H].</returns>
    public static Tensor RmsNorm(Tensor x, Tensor? weight, double epsilon) =>
        (IsManaged(x, weight) ? Managed.TryRmsNorm(x, weight, epsilon) : null) ?? TorchOperators.RmsNorm(x, weight, epsilon);

    /// <summary>dx = r · (g w) - x · r³ · mean(g w x), and dw += Σ g r x.</summary>
    /// <param name="x">[...,H].</param>
    /// <param name="gradient">g [...,H], of y.</param>
    /// <param name="weight">w [H]; null: ones.</param>
    /// <param name="epsilon">ε.</param>
    /// <param name="buffer">dw [H], at least float32, added to; null: not wanted.</param>
    /// <returns>dx [...,H].</returns>
    public static Tensor RmsNormBackward(Tensor x, Tensor gradient, Tensor? weight, double epsilon, Tensor? buffer) =>
        (IsManaged(x, gradient, weight, buffer) ? Managed.TryRmsNormBackward(x, gradient, weight, epsilon, buffer) : null)
            ?? LibTorchKernels.RmsNormBackward(x, gradient, weight, epsilon, buffer);

    /// <summary>y = w gelu_tanh(gate) · up.</summary>
    /// <param name="gate">[N,F].</param>
    /// <param name="up">[N,F].</param>
    /// <param name="weights">w [N,1], which may be wider than the others (the product is rounded once); null: ones.</param>
    /// <returns>[N,F].</returns>
    public static Tensor GatedGelu(Tensor gate, Tensor up, Tensor? weights = null)
    {
        if (IsManaged(gate, up, weights) && Managed.TryGatedGelu(gate, up, weights) is { } y) return y;
        Tensor product = TorchOperators.GeluTanh(gate).mul_(up);
        return weights is null ? product : product.mul_(weights);
    }

    /// <summary>dgate = dy · up · gelu'(gate) and dup = dy · gelu(gate).</summary>
    /// <param name="dy">[...,F].</param>
    /// <param name="gate">[...,F].</param>
    /// <param name="up">[...,F].</param>
    public static (Tensor Gate, Tensor Up) GatedGeluBackward(Tensor dy, Tensor gate, Tensor up)
    {
        if (IsManaged(dy, gate, up))
        {
            static Tensor Rows(Tensor x) => x.reshape(-1, x.shape[^1]);
            Tensor dGate = empty_like(gate), dUp = empty_like(up);
            if (Managed.TryGatedGeluBackward(Rows(dy), Rows(gate), Rows(up), null, Rows(dGate), Rows(dUp), null)) return (dGate, dUp);
        }
        return (TorchOperators.GeluTanhBackward(dy * up, gate), TorchOperators.GeluTanh(gate).mul_(dy));
    }

    /// <summary>dgate = w dy · up · gelu'(gate), dup = w dy · gelu(gate) and dw = Σ dy · gelu(gate) · up, of rows with weights.</summary>
    /// <param name="dy">[N,F]; overwritten.</param>
    /// <param name="gate">[N,F].</param>
    /// <param name="up">[N,F].</param>
    /// <param name="weights">w [N,1], which may be wider than the others.</param>
    /// <param name="dGate">[N,F]; written.</param>
    /// <param name="dUp">[N,F]; written.</param>
    /// <returns>dw [N,1].</returns>
    public static Tensor GatedGeluBackward(Tensor dy, Tensor gate, Tensor up, Tensor weights, Tensor dGate, Tensor dUp)
    {
        if (IsManaged(dy, gate, up, weights, dGate, dUp))
        {
            Tensor dWeights = empty_like(weights);
            if (Managed.TryGatedGeluBackward(dy, gate, up, weights, dGate, dUp, dWeights)) return dWeights;
        }
        return LibTorchKernels.GatedGeluBackward(dy, gate, up, weights, dGate, dUp);
    }

    /// <summary>y = x · cos + rotate_half(x) · sin with rotate_half(x) = [-x2 ; x1] on halves.</summary>
    /// <param name="x">[B,h,S,D].</param>
    /// <param name="cos">[B,1,S,D], or [1,1,S,D] for all rows.</param>
    /// <param name="sin">Likewise.</param>
    /// <returns>[B,h,S,D].</returns>
    public static Tensor Rotate(Tensor x, Tensor cos, Tensor sin) =>
        (IsManaged(x, cos, sin) ? Managed.TryRotate(x, cos, sin, transposed: false) : null) ?? LibTorchKernels.Rotate(x, cos, sin);

    /// <summary>dx = dy · cos + rotate_halfᵀ(dy · sin).</summary>
    /// <param name="dy">[B,h,S,D].</param>
    /// <param name="cos">[B,1,S,D], or [1,1,S,D] for all rows.</param>
    /// <param name="sin">Likewise.</param>
    /// <returns>[B,h,S,D].</returns>
    public static Tensor RotateBackward(Tensor dy, Tensor cos, Tensor sin) =>
        (IsManaged(dy, cos, sin) ? Managed.TryRotate(dy, cos, sin, transposed: true) : null)
            ?? LibTorchKernels.RotateBackward(dy, cos, sin);
}
