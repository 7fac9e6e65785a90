using static TorchSharp.torch;

namespace DiffusionGemma;

/// <summary>Self-conditioning of a decoder pass on an earlier prediction for the same canvas.</summary>
/// <param name="Embeddings">[n,C,H]: expected embeddings under the earlier prediction (<see cref="ModelStack.ExpectedEmbedding(Tensor,
/// PassContext)"/>).</param>
/// <param name="Rows">[n] int64: the rows that are conditioned; null: all, in order.</param>
internal sealed record Conditioning(Tensor Embeddings, Tensor? Rows = null);
