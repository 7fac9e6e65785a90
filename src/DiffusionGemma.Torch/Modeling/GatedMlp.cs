using static TorchSharp.torch;

namespace DiffusionGemma;

/// <summary>down(gelu_tanh(gate(x)) · up(x)): the dense feed-forward of a layer, and the core of self-conditioning.</summary>
internal sealed class GatedMlp(Linear gate, Linear up, Linear down)
{
    public IEnumerable<Linear> Linears => [gate, up, down];

    /// <summary>x [..., H] -> [..., H].</summary>
    public Tensor Forward(Tensor x, PassContext context)
    {
        using var scope = NewDisposeScope();
        Tensor activated = GatedActivation.Activate(gate.Forward(x, context), up.Forward(x, context), context);
        return down.Forward(activated, context).MoveToOuterDisposeScope();
    }

    public static Tensor GeluTanh(Tensor x) => TorchOperators.GeluTanh(x);
}
