using TorchSharp;
using static TorchSharp.torch;

namespace DiffusionGemma;

/// <summary>
/// y = W x + scale · B A x with W frozen. Of it x and the r numbers scale · A x are kept, and nothing of y's size beside y is made:
/// <para>with d = scale · Bᵀ dy: dx = Wᵀ dy + Aᵀ d, dA = d xᵀ, dB = dy (scale · A x)ᵀ.</para>
/// </summary>
internal sealed class LowRankLinear : AutogradFunction<LowRankLinear>
{
    /// <param name="x">[...,in].</param>
    /// <param name="weight">[out,in].</param>
    /// <param name="lora">The delta; its dropout is not looked at.</param>
    public static Tensor Of(Tensor x, Tensor weight, LoraPair lora)
    {
        var use = new Use(weight, lora);
        return is_grad_enabled() ? Run(x, use, lora.A, lora.B)[0] : use.Forward(x).Y;
    }

    protected override Tensor[] Forward(autograd.AutogradContext context, object[] inputs)
    {
        var (x, use) = ((Tensor)inputs[0], (Use)inputs[1]);
        (Tensor y, Tensor low) = use.Forward(x);
        context.save_data("use", use);
        context.save_for_backward([x, low]);
        return [y];
    }

    protected override Tensor?[] Backward(autograd.AutogradContext context, IReadOnlyList<Tensor?> gradients)
    {
        var (weight, lora) = (Use)context.get_data("use");
        List<Tensor> saved = context.get_saved_variables();
        Tensor x = saved[0].view(-1, weight.shape[1]), low = saved[1], dy = gradients[0]!.reshape(-1, weight.shape[0]);
        Tensor dlow = dy.mm(lora.B.to(dy.dtype)).mul_(lora.Scale);
        if (lora.A.requires_grad) GradientBuffers.AddProduct(GradientBuffers.Of(lora.A), dlow, x);
        if (lora.B.requires_grad) GradientBuffers.AddProduct(GradientBuffers.Of(lora.B), dy, low);
        return [dy.mm(weight).addmm_(dlow, lora.A.to(dy.dtype), beta: 1, alpha: 1).view(saved[0].shape), null, null, null];
    }

    private sealed record Use(Tensor Weight, LoraPair Lora)
    {
        /// <summary>y [...,out], and scale · A x [N,r].</summary>
        public (Tensor Y, Tensor Low) Forward(Tensor x)
        {
            using var scope = NewDisposeScope();
            Tensor y = Avx512Products.Linear(x, Weight), low = x.reshape(-1, Weight.shape[1]).mm(Lora.A.to(x.dtype).t()).mul_(Lora.Scale);
            y.view(-1, Weight.shape[0]).addmm_(low, Lora.B.to(x.dtype).t(), beta: 1, alpha: 1);
            return (y.MoveToOuterDisposeScope(), low.MoveToOuterDisposeScope());
        }
    }
}
