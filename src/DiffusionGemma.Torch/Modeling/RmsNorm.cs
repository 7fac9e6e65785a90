using static TorchSharp.torch;

namespace DiffusionGemma;

/// <summary>
/// y = r · x · w with r = (mean(x²) + ε)^-½ over the last dimension, computed in at least float32 and rounded once. The backward keeps only
/// x:
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
        if (!is_grad_enabled() || !x.requires_grad && weight?.requires_grad != true) return Kernels.RmsNorm(x, weight, epsilon);
        var use = new Use(weight, epsilon, context.Gradients);
        return weight is null ? Run(context.Backward, x, use)[0] : Run(context.Backward, x, use, weight)[0];
    }

    protected override Tensor[] Forward(autograd.AutogradContext context, object[] inputs)
    {
        var (x, use) = ((Tensor)inputs[0], (Use)inputs[1]);
        context.save_data("use", use);
        context.save_for_backward([x]);
        return [Kernels.RmsNorm(x, use.Weight, use.Epsilon)];
    }

    protected override Tensor?[] Backward(autograd.AutogradContext context, IReadOnlyList<Tensor?> gradients)
    {
        var use = (Use)context.get_data("use");
        Tensor saved = context.get_saved_variables()[0];
        Tensor? buffer = use.Weight is { requires_grad: true } trained ? use.Gradients.BufferOf(trained) : null;
        Tensor dx = Kernels.RmsNormBackward(saved, gradients[0]!, use.Weight, use.Epsilon, buffer);
        return use.Weight is null ? [dx, null] : [dx, null, null];
    }

    private sealed record Use(Tensor? Weight, double Epsilon, GradientSink Gradients);
}
