using static TorchSharp.torch;

namespace DiffusionGemma;

/// <summary>Per-row results of a softmax, left on the device; w / total are the probabilities.</summary>
/// <param name="Totals">Σ w [N,1]; not finite where a logit was not.</param>
/// <param name="Rounded">Probabilities [N,V] as a narrower model would round them, or null.</param>
/// <param name="Entropies">[N,1], of each row's distribution, in nats.</param>
/// <param name="MostLikely">[N,1] int64: the index of each row's largest score, the first of equals on a CPU.</param>
internal sealed record DeviceSoftmaxRows(Tensor Totals, Tensor? Rounded, Tensor Entropies, Tensor MostLikely);
