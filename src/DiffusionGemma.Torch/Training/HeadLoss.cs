using TorchSharp;
using static TorchSharp.torch;

namespace DiffusionGemma;

/// <summary>
/// Summed cross-entropy of softcap(h Wᵀ) against targets, a chunk of tokens at a time, forward and backward: of the logits [N,V], which for
/// one row of the real model are a gigabyte in float32, no more than a chunk is ever there. The backward computes them again.
/// <para>
/// z = h Wᵀ, s = c · tanh(z / c), loss = Σ logsumexp(s) - s_target; dz = g · (softmax(s) - onehot) · (1 - (s / c)²), dh = dz W, dW = dzᵀ h.
/// </para>
/// </summary>
internal sealed class HeadLoss : AutogradFunction<HeadLoss>
{
    private const long ChunkElements = 1 << 24;

    /// <param name="hidden">[N,H].</param>
    /// <param name="weight">The head [V,H].</param>
    /// <param name="targets">[N] int64.</param>
    /// <param name="cap">c, the soft-cap.</param>
    /// <returns>A scalar, in at least float32; zero for N = 0.</returns>
    public static Tensor Sum(Tensor hidden, Tensor weight, Tensor targets, double cap) => Run(hidden, weight, targets, cap)[0];

    protected override Tensor[] Forward(autograd.AutogradContext context, object[] inputs)
    {
        var (hidden, weight, targets, cap) = ((Tensor)inputs[0], (Tensor)inputs[1], (Tensor)inputs[2], (double)inputs[3]);
        context.save_for_backward([hidden, weight, targets]);
        context.save_data("cap", cap);
        context.save_data("gradients", (hidden.requires_grad, weight.requires_grad));
        Tensor sum = zeros([], dtype: RotaryEmbedding.AtLeastFloat32(hidden.dtype), device: hidden.device);
        foreach ((long start, long length) in Chunks(hidden, weight))
        {
            using var scope = NewDisposeScope();
            Tensor capped = Capped(hidden.narrow(0, start, length), weight, cap);
            Tensor chosen = capped.gather(1, targets.narrow(0, start, length).unsqueeze(-1));
            sum.add_(capped.logsumexp(-1).sum() - chosen.sum());
        }
        return [sum];
    }

    protected override Tensor?[] Backward(autograd.AutogradContext context, IReadOnlyList<Tensor?> gradients)
    {
        if (gradients[0] is not { } outer) return [null, null, null, null];
        List<Tensor> saved = context.get_saved_variables();
        (Tensor hidden, Tensor weight, Tensor targets) = (saved[0].detach(), saved[1].detach(), saved[2]);
        double cap = (double)context.get_data("cap");
        (bool wantsHidden, bool wantsWeight) = ((bool, bool))context.get_data("gradients");
        Tensor? hiddenGradient = wantsHidden ? zeros_like(hidden) : null, weightGradient = wantsWeight ? zeros_like(weight) : null;
        foreach ((long start, long length) in Chunks(hidden, weight))
        {
            using var scope = NewDisposeScope();
            Tensor rows = hidden.narrow(0, start, length), capped = Capped(rows, weight, cap);
            Tensor slope = 1 - (capped / cap).pow_(2);
            Tensor delta = capped.softmax(-1);
            Tensor target = targets.narrow(0, start, length).unsqueeze(-1);
            delta.scatter_add_(1, target, full_like(target, -1, delta.dtype));
            delta = delta.mul_(slope).mul_(outer).to(weight.dtype);
            hiddenGradient?.narrow(0, start, length).copy_(delta.mm(weight));
            weightGradient?.add_(delta.t().mm(rows));
        }
        return [hiddenGradient, weightGradient, null, null];
    }

    private static Tensor Capped(Tensor rows, Tensor weight, double cap) =>
        nn.functional.linear(rows, weight).to(RotaryEmbedding.AtLeastFloat32(rows.dtype)).div_(cap).tanh_().mul_(cap);

    private static IEnumerable<(long Start, long Length)> Chunks(Tensor hidden, Tensor weight)
    {
        long rows = hidden.shape[0], chunk = Math.Max(1, ChunkElements / weight.shape[0]);
        for (long start = 0; start < rows; start += chunk) yield return (start, Math.Min(chunk, rows - start));
    }
}
