using static TorchSharp.torch;

namespace DiffusionGemma;

/// <summary>
/// y = x · cos + rotate_half(x) · sin with rotate_half(x) = [-x2 ; x1] on halves. The backward keeps only the angles: dx = dy · cos +
/// rotate_halfᵀ(dy · sin).
/// </summary>
internal sealed class RotationFunction : AutogradFunction<RotationFunction>
{
    /// <param name="x">[B,h,S,D].</param>
    /// <param name="cos">[B,1,S,D].</param>
    /// <param name="sin">[B,1,S,D].</param>
    /// <param name="context">The pass.</param>
    public static Tensor Rotate(Tensor x, Tensor cos, Tensor sin, PassContext context) =>
        is_grad_enabled() && x.requires_grad ? Run(context.Backward, x, cos, sin)[0] : Kernels.Rotate(x, cos, sin);

    protected override Tensor[] Forward(autograd.AutogradContext context, object[] inputs)
    {
        var (x, cos, sin) = ((Tensor)inputs[0], (Tensor)inputs[1], (Tensor)inputs[2]);
        context.save_for_backward([cos, sin]);
        return [Kernels.Rotate(x, cos, sin)];
    }

    protected override Tensor?[] Backward(autograd.AutogradContext context, IReadOnlyList<Tensor?> gradients)
    {
        List<Tensor> saved = context.get_saved_variables();
        (Tensor cos, Tensor sin, Tensor dy) = (saved[0], saved[1], gradients[0]!);
        return [Kernels.RotateBackward(dy, cos, sin), null, null];
    }
}
