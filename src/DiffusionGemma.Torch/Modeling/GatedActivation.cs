using TorchSharp;
using static TorchSharp.torch;

namespace DiffusionGemma;

/// <summary>
/// gelu_tanh(gate) · up. Keeps its inputs alone, and computes gelu again: dgate = g · up · gelu'(gate), dup = g · gelu(gate).
/// </summary>
internal sealed class GatedActivation : AutogradFunction<GatedActivation>
{
    /// <param name="gate">[...,F].</param>
    /// <param name="up">[...,F].</param>
    /// <param name="context">The pass.</param>
    public static Tensor Activate(Tensor gate, Tensor up, PassContext context) =>
        is_grad_enabled() && (gate.requires_grad || up.requires_grad) ? Run(context.Backward, gate, up)[0] : Product(Rows(gate), Rows(up), null).view(gate.shape);

    /// <summary>w gelu(gate) · up without gradient.</summary>
    /// <param name="gate">[N,F].</param>
    /// <param name="up">[N,F].</param>
    /// <param name="weights">w [N,1], which may be wider than the others: the product is rounded once; null: ones.</param>
    public static Tensor Product(Tensor gate, Tensor up, Tensor? weights)
    {
        if (Avx512GatedActivation.TryForward(gate, up, weights) is { } done) return done;
        Tensor product = GatedMlp.GeluTanh(gate).mul_(up);
        return weights is null ? product : product.mul_(weights);
    }

    protected override Tensor[] Forward(autograd.AutogradContext context, object[] inputs)
    {
        var (gate, up) = ((Tensor)inputs[0], (Tensor)inputs[1]);
        context.save_for_backward([gate, up]);
        return [Product(Rows(gate), Rows(up), null).view(gate.shape)];
    }

    protected override Tensor?[] Backward(autograd.AutogradContext context, IReadOnlyList<Tensor?> gradients)
    {
        List<Tensor> saved = context.get_saved_variables();
        (Tensor gate, Tensor up, Tensor g) = (saved[0], saved[1], gradients[0]!);
        if (Avx512Products.IsPlain(g))
        {
            Tensor dGate = empty_like(gate), dUp = empty_like(up);
            if (Avx512GatedActivation.TryBackward(Rows(g), Rows(gate), Rows(up), null, Rows(dGate), Rows(dUp), null)) return [dGate, dUp];
        }
        return [TorchOperators.GeluTanhBackward(g * up, gate), GatedMlp.GeluTanh(gate).mul_(g)];
    }

    private static Tensor Rows(Tensor x) => x.reshape(-1, x.shape[^1]);
}
