using TorchSharp;
using static TorchSharp.torch;

namespace DiffusionGemma;

/// <summary>
/// Summed cross-entropy of softcap(h Wᵀ) against targets, a chunk of tokens at a time: of the logits [N,V], which for one row of the real
/// model are a gigabyte in float32, no more than a chunk is ever there. A sum's gradient does not depend on what follows but for a factor,
/// so it is computed with the loss, from the same logits, and the backward only scales it.
/// <para>
/// z = h Wᵀ, s = c · tanh(z / c), loss = Σ logsumexp(s) - s_target; dz = (softmax(s) - onehot) · (1 - (s / c)²), dh = dz W, dW = dzᵀ h.
/// </para>
/// </summary>
internal sealed class HeadLoss : AutogradFunction<HeadLoss>
{
    internal const long ChunkElements = 1 << 21;

    /// <param name="hidden">[N,H].</param>
    /// <param name="weight">The head [V,H].</param>
    /// <param name="targets">[N] int64.</param>
    /// <param name="cap">c, the soft-cap.</param>
    /// <returns>A scalar, in at least float32; zero for N = 0.</returns>
    public static Tensor Sum(Tensor hidden, Tensor weight, Tensor targets, double cap) => Run(hidden, weight, targets, cap)[0];

    protected override Tensor[] Forward(autograd.AutogradContext context, object[] inputs)
    {
        var (hidden, weight, targets, cap) = ((Tensor)inputs[0], (Tensor)inputs[1], (Tensor)inputs[2], (double)inputs[3]);
        Tensor? hiddenGradient = hidden.requires_grad ? zeros_like(hidden) : null, weightGradient = weight.requires_grad ? zeros_like(weight) : null;
        Tensor sum = zeros([], dtype: RotaryEmbedding.AtLeastFloat32(hidden.dtype), device: hidden.device);
        long chunk = Math.Max(1, ChunkElements / weight.shape[0]);
        for (long start = 0; start < hidden.shape[0]; start += chunk)
        {
            using var scope = NewDisposeScope();
            long length = Math.Min(chunk, hidden.shape[0] - start);
            Tensor rows = hidden.narrow(0, start, length), target = targets.narrow(0, start, length).unsqueeze(-1);
            Tensor bounded = nn.functional.linear(rows, weight).to(sum.dtype).div_(cap).tanh_();          // s / c
            Tensor logits = bounded * cap;
            Tensor normalizer = logits.logsumexp(-1, keepdim: true);
            sum.add_((normalizer - logits.gather(1, target)).sum());
            if (hiddenGradient is null && weightGradient is null) continue;

            Tensor delta = logits.sub_(normalizer).exp_();
            delta.scatter_add_(1, target, full_like(target, -1, delta.dtype));
            delta = delta.mul_(bounded.pow_(2).neg_().add_(1)).to(weight.dtype);
            hiddenGradient?.narrow(0, start, length).copy_(delta.mm(weight));
            weightGradient?.add_(delta.t().mm(rows));
        }
        context.save_data("gradients", new Gradients(hiddenGradient?.DetachFromDisposeScope(), weightGradient?.DetachFromDisposeScope()));
        return [sum];
    }

    protected override Tensor?[] Backward(autograd.AutogradContext context, IReadOnlyList<Tensor?> gradients)
    {
        var saved = (Gradients)context.get_data("gradients");
        if (gradients[0] is not { } outer) return [null, null, null, null];
        return [saved.Hidden?.mul_(outer), saved.Weight?.mul_(outer), null, null];
    }

    private sealed record Gradients(Tensor? Hidden, Tensor? Weight);
}
