using TorchSharp;
using static TorchSharp.torch;

namespace DiffusionGemma;

/// <summary>
/// Summed cross-entropy of softcap(h Wᵀ) against targets, a chunk of tokens at a time: of the logits [N,V], which for one row of the real
/// model are a gigabyte in float32, no more than a chunk is ever there. Gradients are computed with the loss, from the same logits: what
/// follows the sum is a factor that is known beforehand. Not a function of autograd's, then: a backward starts from the hidden state's
/// gradient, and the head's is added to its buffer as it comes.
/// <para>
/// z = h Wᵀ, s = c · tanh(z / c), loss = Σ logsumexp(s) - s_target; dz = (softmax(s) - onehot) · (1 - (s / c)²), dh = dz W, dW = dzᵀ h.
/// </para>
/// </summary>
internal static class HeadLoss
{
    /// <summary>Numbers in a chunk's logits, where that is not too few tokens for a product of matrices to be worth its reading of W.</summary>
    private const long ChunkElements = 1 << 23;

    private const long LeastChunk = 128;

    /// <summary>Numbers that a CPU takes through all that follows the product at once: they stay in a core's own cache.</summary>
    private const long CacheElements = 1 << 17;

    /// <summary>Tokens whose logits are there at once, at most.</summary>
    public static long Chunk(long vocabulary) => Math.Max(LeastChunk, ChunkElements / vocabulary);

    /// <summary>The sum alone.</summary>
    /// <param name="hidden">[...,H].</param>
    /// <param name="weight">The head [V,H].</param>
    /// <param name="targets">[...] int64.</param>
    /// <param name="mask">[...] bool: the positions that count.</param>
    /// <param name="cap">c, the soft-cap.</param>
    public static double Sum(Tensor hidden, Tensor weight, Tensor targets, Tensor mask, double cap) => Run(hidden, weight, targets, mask, cap, null, null).Sum;

    /// <summary>
    /// The sum; and of <paramref name="factor"/> times the sum the gradient of <paramref name="hidden"/> (null where it requires none), while the
    /// head's, where it trains, is added up.
    /// </summary>
    /// <param name="hidden">[...,H].</param>
    /// <param name="weight">The head [V,H].</param>
    /// <param name="targets">[...] int64.</param>
    /// <param name="mask">[...] bool: the positions that count.</param>
    /// <param name="cap">c, the soft-cap.</param>
    /// <param name="factor">What the sum is multiplied by in the loss.</param>
    /// <param name="gradients">Where the head's gradient is added.</param>
    public static (double Sum, Tensor? HiddenGradient) SumAndGradient(
        Tensor hidden, Tensor weight, Tensor targets, Tensor mask, double cap, double factor, GradientSink gradients) =>
        Run(hidden, weight, targets, mask, cap, factor, gradients);

    private static (double Sum, Tensor? HiddenGradient) Run(
        Tensor hidden, Tensor weight, Tensor targets, Tensor mask, double cap, double? factor, GradientSink? gradients)
    {
        using IDisposable quiet = no_grad();
        using var scope = NewDisposeScope();
        Tensor chosen = mask.flatten().nonzero().flatten(), tokens = hidden.reshape(-1, hidden.shape[^1]);
        Tensor? gradient = factor is not null && hidden.requires_grad ? zeros_like(tokens) : null;
        Tensor? buffer = factor is not null && weight.requires_grad ? gradients!.BufferOf(weight) : null;
        targets = targets.flatten();
        Tensor sum = zeros([], dtype: ScalarType.Float64, device: hidden.device);
        foreach (Tensor part in Parts(chosen, Chunk(weight.shape[0])))
        {
            using var inner = NewDisposeScope();
            Tensor rows = tokens.index_select(0, part), logits = Avx512Products.Linear(rows, weight), target = targets.index_select(0, part).unsqueeze(-1);
            bool withGradient = gradient is not null || buffer is not null;
            // The kernel does a row at a time by itself.
            long block = hidden.device_type != DeviceType.CPU || Avx512Products.IsPlain(logits) ? part.shape[0] : Math.Max(1, CacheElements / weight.shape[0]);
            foreach ((Tensor z, Tensor at) in logits.split(block).Zip(target.split(block))) sum.add_(LossInPlace(z, at, cap, withGradient));
            gradient?.index_copy_(0, part, Avx512Products.Plain(logits, weight).mul_(factor!.Value));
            if (buffer is not null) GradientBuffers.AddProduct(buffer, logits, rows.mul_(factor!.Value));
        }
        return (sum.item<double>(), gradient?.view(hidden.shape).MoveToOuterDisposeScope());
    }

    /// <summary>The summed loss of some rows of z; with <paramref name="withGradient"/> dz then stands in z's place.</summary>
    private static Tensor LossInPlace(Tensor z, Tensor target, double cap, bool withGradient)
    {
        using var scope = NewDisposeScope();
        Tensor wide = z.to(RotaryEmbedding.AtLeastFloat32(z.dtype));
        if (Avx512CrossEntropy.TryRun(wide, target, cap, withGradient, out double loss))
        {
            if (withGradient && z.dtype != wide.dtype) z.copy_(wide);
            return tensor(loss, ScalarType.Float64).MoveToOuterDisposeScope();
        }
        Tensor bounded = wide.div_(cap).tanh_();                                               // s / c
        Tensor capped = bounded * cap, largest = capped.amax(-1), ofTarget = capped.gather(1, target).squeeze(-1);
        TorchOperators.SoftmaxInPlace(capped);
        // The largest probability is 1 / Σ exp(s - s_max), at least 1 / V: its logarithm loses nothing.
        Tensor sum = (largest - capped.amax(-1).log() - ofTarget).sum();
        if (withGradient)
        {
            capped.scatter_add_(1, target, full_like(target, -1, capped.dtype));
            TorchOperators.TanhBackwardInPlace(capped, bounded);
            z.copy_(capped);
        }
        return sum.MoveToOuterDisposeScope();
    }

    /// <summary>As few parts as the limit allows, of like size.</summary>
    private static Tensor[] Parts(Tensor chosen, long limit)
    {
        long count = chosen.shape[0], parts = (count + limit - 1) / limit;
        return parts == 0 ? [] : chosen.split((count + parts - 1) / parts);
    }
}
