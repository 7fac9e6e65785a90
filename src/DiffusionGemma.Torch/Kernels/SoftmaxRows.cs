using static TorchSharp.torch;

namespace DiffusionGemma;

/// <summary>Per-row results of <see cref="Kernels.CappedSoftmax"/>; w / total are the probabilities.</summary>
/// <param name="Totals">Σ w [N,1], where w is.</param>
/// <param name="Rounded">Probabilities [N,V] as a narrower model would round them, or null.</param>
/// <param name="HostTotals">Σ w of each row; not finite where a logit was not.</param>
/// <param name="Entropies">Of each row's distribution, in nats.</param>
/// <param name="MostLikely">The index of each row's largest score, the first of equals.</param>
internal sealed record SoftmaxRows(Tensor Totals, Tensor? Rounded, double[] HostTotals, double[] Entropies, int[] MostLikely);
