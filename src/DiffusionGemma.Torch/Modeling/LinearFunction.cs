using static TorchSharp.torch;

namespace DiffusionGemma;

/// <summary>
/// y = W x, or with a low-rank delta y = W x + scale · B A x̃, where x̃ is x, or with dropout x · kept / (1 - p). The backward keeps x
/// where it needs it, the r numbers scale · A x̃, and the dropout mask; no other tensor of y's size is allocated. Gradients of trained
/// parameters are added to the context's <see cref="GradientSink"/>:
/// <para>dx = Wᵀ dy + Aᵀ d (zero where x was dropped) with d = scale · Bᵀ dy; dW = dy xᵀ, dA = d x̃ᵀ, dB = dy (scale · A x̃)ᵀ.</para>
/// </summary>
internal sealed class LinearFunction : AutogradFunction<LinearFunction>
{
    private const string UseKey = "use";

    /// <param name="x">[...,in].</param>
    /// <param name="weight">[out,in]; lives until the backward ends.</param>
    /// <param name="context">The pass.</param>
    /// <param name="lora">The delta, or null.</param>
    public static Tensor Project(Tensor x, StoredWeight weight, PassContext context, LoraPair? lora = null)
    {
        var use = new Use(weight, lora, context, x.requires_grad, x.shape);
        Tensor[] parameters = [.. new[] { weight.Tensor, lora?.A, lora?.B }.OfType<Tensor>()];
        bool trains = is_grad_enabled() && (x.requires_grad || parameters.Any(p => p.requires_grad));
        return trains ? Run(context.Backward, [x, use, .. parameters])[0] : use.Forward(x).Y;
    }

    protected override Tensor[] Forward(autograd.AutogradContext context, object[] inputs)
    {
        var (x, use) = ((Tensor)inputs[0], (Use)inputs[1]);
        (Tensor y, Tensor? low, Tensor? kept) = use.Forward(x);
        context.save_data(UseKey, use);
        context.save_for_backward(low is null ? use.Weight.RequiresGradient ? [x] : [] : kept is null ? [x, low] : [x, low, kept]);
        return [y];
    }

    protected override Tensor?[] Backward(autograd.AutogradContext context, IReadOnlyList<Tensor?> gradients)
    {
        var use = (Use)context.get_data(UseKey);
        (StoredWeight weight, LoraPair? lora, GradientSink sink) = (use.Weight, use.Lora, use.Context.Gradients);
        List<Tensor> saved = context.get_saved_variables();
        Tensor dy = gradients[0]!.reshape(-1, weight.Shape[0]);
        Tensor? x = saved.Count == 0 ? null : saved[0].reshape(-1, weight.Shape[1]);
        Tensor? dx = use.ReachesInput ? Kernels.MatMul(dy, weight) : null;
        if (weight.RequiresGradient) Kernels.AddOuter(sink.BufferOf(weight.Tensor!), dy, x!);
        Tensor?[] none = weight.Tensor is null ? [] : [null];
        if (lora is null) return [dx?.view(use.Shape), null, .. none];
        Tensor dlow = Kernels.Linear(dy, use.Transposed(dy.dtype)).mul_(lora.Scale);
        Tensor? kept = saved.Count > 2 ? saved[2].view(-1, weight.Shape[1]) : null;
        if (lora.A.requires_grad) Kernels.AddOuter(sink.BufferOf(lora.A), dlow, use.Dropped(x!, kept));
        if (lora.B.requires_grad) Kernels.AddOuter(sink.BufferOf(lora.B), dy, saved[1]);
        if (dx is not null && kept is null) Kernels.AddMatMul(dx, dlow, lora.A.to(dy.dtype));
        else dx?.add_(use.Dropped(Kernels.MatMul(dlow, lora.A.to(dy.dtype)), kept));
        return [dx?.view(use.Shape), null, .. none, null, null];
    }

    private sealed record Use(StoredWeight Weight, LoraPair? Lora, PassContext Context, bool ReachesInput, long[] Shape)
    {
        /// <summary>Computes y [...,out]; returns with it scale · A x̃ [N,r] and the dropout mask [...,in].</summary>
        public (Tensor Y, Tensor? Low, Tensor? Kept) Forward(Tensor x)
        {
            if (Lora is null) return (Kernels.Linear(x, Weight, Context.IsBatchInvariant), null, null);
            using var scope = NewDisposeScope();
            Tensor? kept = Context.Dropout?.DrawKept(x.shape, x.device);
            bool invariant = Context.IsBatchInvariant;
            Tensor y = Kernels.Linear(x, Weight, invariant), rows = Dropped(x, kept).reshape(-1, Weight.Shape[1]);
            (Tensor a, Tensor b) = PreparedDeltas.Of(Lora, x.dtype, Context.Prepared);
            Tensor low = Kernels.Linear(rows, a, invariant).mul_(Lora.Scale);
            Kernels.AddMatMul(y.view(-1, Weight.Shape[0]), low, b, invariant);
            return (y.MoveToOuterDisposeScope(), low.MoveToOuterDisposeScope(), kept?.MoveToOuterDisposeScope());
        }

        /// <summary>Bᵀ [r,out].</summary>
        public Tensor Transposed(ScalarType dtype) => Lora!.TransposedB(dtype);

        public Tensor Dropped(Tensor x, Tensor? kept) => kept is null ? x : x * kept.to(x.dtype) / (1 - Context.Dropout!.Probability);
    }
}
