using static TorchSharp.torch;

namespace DiffusionGemma;

/// <summary>
/// gelu_tanh(gate) · up, which keeps only its inputs and computes gelu again in the backward: dgate = g · up · gelu'(gate), dup = g ·
/// gelu(gate).
/// </summary>
internal sealed class GatedActivation : AutogradFunction<GatedActivation>
{
    /// <param name="gate">[...,F].</param>
    /// <param name="up">[...,F].</param>
    /// <param name="context">The pass.</param>
    public static Tensor Activate(Tensor gate, Tensor up, PassContext context) =>
        is_grad_enabled() && (gate.requires_grad || up.requires_grad) ? Run(context.Backward, gate, up)[0]
            : Kernels.GatedGelu(Rows(gate), Rows(up)).view(gate.shape);

    protected override Tensor[] Forward(autograd.AutogradContext context, object[] inputs)
    {
        var (gate, up) = ((Tensor)inputs[0], (Tensor)inputs[1]);
        context.save_for_backward([gate, up]);
        return [Kernels.GatedGelu(Rows(gate), Rows(up)).view(gate.shape)];
    }

    protected override Tensor?[] Backward(autograd.AutogradContext context, IReadOnlyList<Tensor?> gradients)
    {
        List<Tensor> saved = context.get_saved_variables();
        (Tensor gate, Tensor up, Tensor g) = (saved[0], saved[1], gradients[0]!);
        (Tensor dGate, Tensor dUp) = Kernels.GatedGeluBackward(g, gate, up);
        return [dGate, dUp];
    }

    private static Tensor Rows(Tensor x) => x.reshape(-1, x.shape[^1]);
}
