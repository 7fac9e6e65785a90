using TorchSharp;
using static TorchSharp.torch;

namespace DiffusionGemma;

/// <summary>
/// Accepts the k positions of lowest entropy with entropy_1 + ... + entropy_k - entropy_k ≤ bound (transformers' EntropyBoundSampler): the
/// joint uncertainty of what is settled at once is bounded, and the first position past the bound is accepted too.
/// </summary>
internal static class EntropyBoundSampler
{
    /// <summary>Entropy of softmax(logits) in nats; [...,V] -> [...].</summary>
    public static Tensor Entropy(Tensor logits)
    {
        using var scope = NewDisposeScope();
        Tensor logProbabilities = nn.functional.log_softmax(logits, -1);
        return (-(logProbabilities.exp() * logProbabilities).sum(-1)).MoveToOuterDisposeScope();
    }

    /// <summary>entropies [rows,C] -> bool [rows,C].</summary>
    public static Tensor Accept(Tensor entropies, double bound)
    {
        using var scope = NewDisposeScope();
        (Tensor sorted, Tensor order) = entropies.sort(-1);
        Tensor within = sorted.cumsum(-1) - sorted <= bound;
        return zeros_like(within).scatter(-1, order, within).MoveToOuterDisposeScope();
    }
}
