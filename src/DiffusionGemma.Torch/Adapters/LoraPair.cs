using TorchSharp;
using static TorchSharp.torch;

namespace DiffusionGemma;

/// <summary>The low-rank delta of one projection in one pass: scale · B A. Kept in at least float32 beside a bfloat16 model.</summary>
/// <param name="A">[r, in].</param>
/// <param name="B">[out, r].</param>
/// <param name="Scale">alpha / r, or alpha / √r (rank-stabilised).</param>
internal sealed record LoraPair(Tensor A, Tensor B, double Scale)
{
    /// <summary>Whether this is the shape of a delta of <paramref name="weight"/> [out, in].</summary>
    public bool Fits(Tensor weight) => B.shape[0] == weight.shape[0] && A.shape[1] == weight.shape[1];

    /// <summary>scale · B A, [out, in].</summary>
    public Tensor FullDelta() => B.mm(A) * Scale;
}
