using static TorchSharp.torch;

namespace DiffusionGemma;

/// <summary>
/// One stack of an experts' layer [E,out,in], with the low-rank delta of a pass: y = W_e x + scale · B_e A_e x for the rows of expert e.
/// One matrix product a slice of rows, written to its place: on a CPU as fast as <c>_grouped_mm</c> at every measured size (which does the
/// same, without a gradient in place).
/// </summary>
internal readonly struct ExpertStack(StoredWeight weight, ExpertStackLora? lora)
{
    /// <summary>Tensors that may require a gradient.</summary>
    public IEnumerable<Tensor> Parameters => new[] { weight.Tensor, lora?.A, lora?.B }.OfType<Tensor>();

    private bool IsTrained => Parameters.Any(p => p.requires_grad);

    /// <summary>Projects rows sorted by expert, x [N,in] -> [N,out].</summary>
    public Tensor Forward(Tensor x, long[] counts)
    {
        using var scope = NewDisposeScope();
        Tensor y = Kernels.GroupedLinear(x, weight, counts);
        if (lora is null) return y.MoveToOuterDisposeScope();
        Tensor[] rows = x.split(counts, 0), results = y.split(counts, 0);
        (Tensor[] A, Tensor[] B) low = lora.OfExperts(x.dtype);
        for (int e = 0; e < counts.Length; e++)
        {
            if (counts[e] == 0) continue;
            results[e].addmm_(rows[e].mm(low.A[e].t()).mul_(lora.Scale), low.B[e].t(), beta: 1, alpha: 1);
        }
        return y.MoveToOuterDisposeScope();
    }

    /// <summary>
    /// Computes the gradient of x [N,in] from y's [N,out]; gradients of trained parameters are added to <paramref name="sink"/>.
    /// </summary>
    public Tensor Backward(Tensor dy, Func<Tensor> x, long[] counts, GradientSink sink)
    {
        using var scope = NewDisposeScope();
        Tensor dx = Kernels.GroupedMatMul(dy, weight, counts);
        Tensor? input = IsTrained ? x() : null;
        if (weight.RequiresGradient) Kernels.GroupedAddOuter(sink.BufferOf(weight.Tensor!), dy, input!, counts);
        if (lora is null) return dx.MoveToOuterDisposeScope();
        Tensor[] rows = dy.split(counts, 0), results = dx.split(counts, 0);
        Tensor[]? inputs = input?.split(counts, 0);
        (Tensor[] A, Tensor[] B) low = lora.OfExperts(dy.dtype);
        ExpertStackLora.Gradients? lowGradients = lora.A.requires_grad ? new ExpertStackLora.Gradients(lora) : null;
        for (int e = 0; e < counts.Length; e++)
        {
            if (counts[e] == 0) continue;
            Tensor inner = rows[e].mm(low.B[e]).mul_(lora.Scale);
            results[e].addmm_(inner, low.A[e], beta: 1, alpha: 1);
            lowGradients?.Add(e, inputs![e], inputs[e].mm(low.A[e].t()).mul_(lora.Scale), rows[e], inner);
        }
        lowGradients?.AddTo(sink.BufferOf(lora.A), sink.BufferOf(lora.B));
        return dx.MoveToOuterDisposeScope();
    }
}
