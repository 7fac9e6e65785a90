using static TorchSharp.torch;

namespace DiffusionGemma;

/// <summary>
/// scale · B A x̃ alone, for a product that is computed in another precision than its stored weight, as the router's; x̃ and the gradients
/// are those of <see cref="LinearFunction"/>.
/// </summary>
internal sealed class LowRankFunction : AutogradFunction<LowRankFunction>
{
    private const string UseKey = "use";

    /// <param name="x">[N,in].</param>
    /// <param name="lora">The delta.</param>
    /// <param name="context">The pass.</param>
    /// <returns>[N,out].</returns>
    public static Tensor Project(Tensor x, LoraPair lora, PassContext context)
    {
        var use = new Use(lora, context, x.requires_grad);
        bool trains = is_grad_enabled() && (x.requires_grad || lora.A.requires_grad || lora.B.requires_grad);
        return trains ? Run(context.Backward, [x, use, lora.A, lora.B])[0] : use.Forward(x).Y;
    }

    protected override Tensor[] Forward(autograd.AutogradContext context, object[] inputs)
    {
        var (x, use) = ((Tensor)inputs[0], (Use)inputs[1]);
        (Tensor y, Tensor low, Tensor? kept) = use.Forward(x);
        context.save_data(UseKey, use);
        context.save_for_backward(kept is null ? [x, low] : [x, low, kept]);
        return [y];
    }

    protected override Tensor?[] Backward(autograd.AutogradContext context, IReadOnlyList<Tensor?> gradients)
    {
        var use = (Use)context.get_data(UseKey);
        (LoraPair lora, GradientSink sink) = (use.Lora, use.Context.Gradients);
        List<Tensor> saved = context.get_saved_variables();
        (Tensor x, Tensor? kept, Tensor dy) = (saved[0], saved.Count > 2 ? saved[2] : null, gradients[0]!.contiguous());
        Tensor dlow = Kernels.Linear(dy, lora.B.to(dy.dtype).t().contiguous()).mul_(lora.Scale);
        if (lora.A.requires_grad) Kernels.AddOuter(sink.BufferOf(lora.A), dlow, use.Dropped(x, kept));
        if (lora.B.requires_grad) Kernels.AddOuter(sink.BufferOf(lora.B), dy, saved[1]);
        return [use.ReachesInput ? use.Dropped(Kernels.MatMul(dlow, lora.A.to(dy.dtype)), kept) : null, null, null, null];
    }

    private sealed record Use(LoraPair Lora, PassContext Context, bool ReachesInput)
    {
        /// <summary>Computes y [N,out]; returns with it scale · A x̃ [N,r] and the dropout mask [N,in].</summary>
        public (Tensor Y, Tensor Low, Tensor? Kept) Forward(Tensor x)
        {
            using var scope = NewDisposeScope();
            Tensor? kept = Context.Dropout?.DrawKept(x.shape, x.device);
            Tensor low = Kernels.Linear(Dropped(x, kept), Lora.A.to(x.dtype), Context.IsBatchInvariant).mul_(Lora.Scale);
            Tensor y = Kernels.Linear(low, Lora.B.to(x.dtype), Context.IsBatchInvariant);
            return (y.MoveToOuterDisposeScope(), low.MoveToOuterDisposeScope(), kept?.MoveToOuterDisposeScope());
        }

        public Tensor Dropped(Tensor x, Tensor? kept) => kept is null ? x : x * kept.to(x.dtype) / (1 - Context.Dropout!.Probability);
    }
}
