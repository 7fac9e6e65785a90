using static TorchSharp.torch;

namespace DiffusionGemma;

/// <summary>
/// One stack of an experts' layer [E,out,in], with the low-rank delta of a pass: y = W_e x + scale · B_e A_e x for the rows of expert e.
/// Rows that are counted on the host: one matrix product a slice of them, written to its place (on a CPU as fast as <c>_grouped_mm</c> at
/// every measured size). Rows that are counted on the device: one product of all (<see cref="GroupedProducts"/>).
/// </summary>
internal readonly struct ExpertStack(StoredWeight weight, ExpertStackLora? lora)
{
    // Deltas of some of the rows each, in a pass without gradients.
    private (ExpertStackLora Lora, ExpertPlaces Places)[] OfSomeRows { get; init; } = [];

    /// <summary>Creates a stack with deltas that some of the rows have each, for passes without gradients.</summary>
    /// <param name="weight">[E,out,in].</param>
    /// <param name="deltas">The deltas, with the places of their rows; null where an adapter has none for this stack.</param>
    public static ExpertStack OfRows(StoredWeight weight, IEnumerable<(ExpertStackLora? Lora, ExpertPlaces Places)> deltas) =>
        new(weight, null) { OfSomeRows = [.. deltas.Where(delta => delta.Lora is not null).Select(d => (d.Lora!, d.Places))] };

    /// <summary>Tensors that may require a gradient.</summary>
    public IEnumerable<Tensor> Parameters => new[] { weight.Tensor, lora?.A, lora?.B }.OfType<Tensor>();

    private bool IsTrained => Parameters.Any(p => p.requires_grad);

    /// <summary>Projects rows sorted by expert, x [N,in] -> [N,out].</summary>
    /// <param name="x">[N,in], the rows of one expert after those of the one before it.</param>
    /// <param name="rows">The rows of each expert.</param>
    /// <param name="context">The pass.</param>
    public Tensor Forward(Tensor x, ExpertRows rows, PassContext context)
    {
        using var scope = NewDisposeScope();
        Tensor y = Kernels.GroupedLinear(x, weight, rows, context.IsBatchInvariant);
        if (lora is not null) AddLowRank(y, x, lora, rows, context);
        foreach ((ExpertStackLora own, ExpertPlaces places) in OfSomeRows)
        {
            Tensor chosen = TorchOperators.SelectRows(y, places.Indices);
            AddLowRank(chosen, TorchOperators.SelectRows(x, places.Indices), own, places.Rows, context);
            y.index_copy_(0, places.Indices, chosen);
        }
        return y.MoveToOuterDisposeScope();
    }

    /// <summary>Adds scale · B_e A_e x to the rows y [N,out] of expert e.</summary>
    private static void AddLowRank(Tensor y, Tensor x, ExpertStackLora lora, ExpertRows rows, PassContext context)
    {
        (Tensor a, Tensor b) = PreparedDeltas.Of(lora, x.dtype, rows, context.Prepared);
        Tensor low = Kernels.GroupedLinear(x, a, rows, context.IsBatchInvariant).mul_(lora.Scale);
        Kernels.GroupedAddMatMul(y, low, b, rows, context.IsBatchInvariant);
    }

    /// <summary>
    /// Computes the gradient of x [N,in] from y's [N,out]; gradients of trained parameters are added to <paramref name="sink"/>.
    /// </summary>
    public Tensor Backward(Tensor dy, Func<Tensor> x, ExpertRows rows, GradientSink sink)
    {
        using var scope = NewDisposeScope();
        Tensor dx = Kernels.GroupedMatMul(dy, weight, rows);
        Tensor? input = IsTrained ? x() : null;
        if (weight.RequiresGradient) Kernels.GroupedAddOuter(sink.BufferOf(weight.Tensor!), dy, input!, rows);
        if (lora is null) return dx.MoveToOuterDisposeScope();
        (Tensor a, Tensor b) = lora.OfExperts(dy.dtype, rows);
        Tensor dlow = Kernels.GroupedLinear(dy, b, rows).mul_(lora.Scale);
        Kernels.GroupedAddMatMul(dx, dlow, a, rows);
        if (lora.A.requires_grad)
        {
            Tensor low = Kernels.GroupedLinear(input!, a, rows).mul_(lora.Scale);
            lora.AddGradients(sink.BufferOf(lora.A), sink.BufferOf(lora.B), input!, low, dy, dlow, rows);
        }
        return dx.MoveToOuterDisposeScope();
    }
}
