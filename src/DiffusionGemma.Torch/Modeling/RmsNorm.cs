using TorchSharp;
using static TorchSharp.torch;

namespace DiffusionGemma;

/// <summary>
/// y = r · x · w with r = (mean(x²) + ε)^-½ over the last dimension, computed in at least float32 and rounded once. Keeps its input alone:
/// <para>dx = r · (g w) - x · r³ · mean(g w x), dw = Σ g r x.</para>
/// </summary>
internal sealed class RmsNorm : AutogradFunction<RmsNorm>
{
    /// <param name="x">[...,H].</param>
    /// <param name="weight">[H]; null: ones.</param>
    /// <param name="epsilon">ε.</param>
    /// <param name="context">The pass.</param>
    public static Tensor Normalize(Tensor x, Tensor? weight, double epsilon, PassContext context)
    {
        if (!is_grad_enabled() || !x.requires_grad && weight?.requires_grad != true) return Normed(x, weight, epsilon);
        var use = new Use(weight, epsilon, context.Gradients);
        return weight is null ? Run(context.Backward, x, use)[0] : Run(context.Backward, x, use, weight)[0];
    }

    protected override Tensor[] Forward(autograd.AutogradContext context, object[] inputs)
    {
        var (x, use) = ((Tensor)inputs[0], (Use)inputs[1]);
        context.save_data("use", use);
        context.save_for_backward([x]);
        return [Normed(x, use.Weight, use.Epsilon)];
    }

    protected override Tensor?[] Backward(autograd.AutogradContext context, IReadOnlyList<Tensor?> gradients)
    {
        var use = (Use)context.get_data("use");
        ScalarType dtype = RotaryEmbedding.AtLeastFloat32(gradients[0]!.dtype);
        Tensor saved = context.get_saved_variables()[0];
        Tensor? buffer = use.Weight is { requires_grad: true } trained ? use.Gradients.BufferOf(trained) : null;
        Tensor?[] With(Tensor dx) => use.Weight is null ? [dx, null] : [dx, null, null];
        if (Avx512RmsNorm.TryBackward(saved, gradients[0]!, use.Weight, use.Epsilon, buffer) is { } done) return With(done);
        Tensor x = saved.to(dtype), g = gradients[0]!.to(dtype);
        Tensor r = linalg.vector_norm(x, 2, [-1], keepdim: true).pow_(2).div_(x.shape[^1]).add_(use.Epsilon).rsqrt_();
        Tensor weighted = use.Weight is null ? g : g * use.Weight.to(dtype);
        Tensor mean = (weighted * x).mean([-1], keepdim: true);
        buffer?.add_((g * x).reshape(-1, x.shape[^1]).t().mv(r.flatten()));
        return With((weighted * r).addcmul_(x, mean.mul_(r.pow(3)), -1).to(saved.dtype));
    }

    private static Tensor Normed(Tensor x, Tensor? weight, double epsilon) => Avx512RmsNorm.TryForward(x, weight, epsilon) ?? TorchOperators.RmsNorm(x, weight, epsilon);

    private sealed record Use(Tensor? Weight, double Epsilon, GradientSink Gradients);
}
