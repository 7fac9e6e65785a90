using TorchSharp;
using static TorchSharp.torch;

namespace DiffusionGemma;

/// <summary>
/// One stack of an experts' layer [E,out,in], with the low-rank delta of a pass: y = W_e x + scale · B_e A_e x for the slice of rows that is
/// expert e's. One matrix product a slice, written where its result belongs: on a CPU as fast as <c>_grouped_mm</c> at every size that was
/// measured (which does the same, and has no gradient in place).
/// </summary>
internal readonly struct ExpertStack(Tensor weight, ExpertStackLora? lora)
{
    /// <summary>What a gradient may reach beside the rows.</summary>
    public IEnumerable<Tensor> Parameters => lora is null ? [weight] : [weight, lora.A, lora.B];

    private bool IsTrained => Parameters.Any(p => p.requires_grad);

    /// <summary>x [N,in], sorted -> [N,out].</summary>
    public Tensor Forward(Tensor x, long[] counts)
    {
        using var scope = NewDisposeScope();
        Tensor y = empty(x.shape[0], weight.shape[1], dtype: x.dtype, device: x.device);
        bool written = Avx512Products.TryTransposed(x, weight, counts, y);
        if (written && lora is null) return y.MoveToOuterDisposeScope();
        Tensor[] rows = x.split(counts, 0), results = y.split(counts, 0), transposed = weight.transpose(1, 2).unbind(0);
        (Tensor[] A, Tensor[] B) low = lora?.OfExperts(x.dtype) ?? default;
        for (int e = 0; e < counts.Length; e++)
        {
            if (counts[e] == 0) continue;
            if (!written) results[e].addmm_(rows[e], transposed[e], beta: 0, alpha: 1);
            if (lora is not null) results[e].addmm_(rows[e].mm(low.A[e].t()).mul_(lora.Scale), low.B[e].t(), beta: 1, alpha: 1);
        }
        return y.MoveToOuterDisposeScope();
    }

    /// <summary>The gradient of x [N,in] from y's [N,out]; those of what trains are added to <paramref name="sink"/>.</summary>
    public Tensor Backward(Tensor dy, Func<Tensor> x, long[] counts, GradientSink sink)
    {
        using var scope = NewDisposeScope();
        Tensor dx = empty(dy.shape[0], weight.shape[2], dtype: dy.dtype, device: dy.device);
        bool written = Avx512Products.TryPlain(dy, weight, counts, dx);
        if (written && !IsTrained && lora is null) return dx.MoveToOuterDisposeScope();
        Tensor[] rows = dy.split(counts, 0), results = dx.split(counts, 0), weights = weight.unbind(0);
        Tensor[]? inputs = IsTrained ? x().split(counts, 0) : null, buffers = weight.requires_grad ? sink.BufferOf(weight).unbind(0) : null;
        (Tensor[] A, Tensor[] B) low = lora?.OfExperts(dy.dtype) ?? default;
        ExpertStackLora.Gradients? lowGradients = lora is { A.requires_grad: true } ? new ExpertStackLora.Gradients(lora) : null;
        for (int e = 0; e < counts.Length; e++)
        {
            if (counts[e] == 0) continue;
            if (!written) results[e].addmm_(rows[e], weights[e], beta: 0, alpha: 1);
            if (buffers is not null) GradientBuffers.AddProduct(buffers[e], rows[e], inputs![e]);
            if (lora is null) continue;
            Tensor inner = rows[e].mm(low.B[e]).mul_(lora.Scale);
            results[e].addmm_(inner, low.A[e], beta: 1, alpha: 1);
            lowGradients?.Add(e, inputs![e], inputs[e].mm(low.A[e].t()).mul_(lora.Scale), rows[e], inner);
        }
        lowGradients?.AddTo(sink.BufferOf(lora!.A), sink.BufferOf(lora.B));
        return dx.MoveToOuterDisposeScope();
    }
}
