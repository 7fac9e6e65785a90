using static TorchSharp.torch;

namespace DiffusionGemma;

/// <summary>The low-rank delta of one projection in one pass, scale · B A; at least float32, also beside a bfloat16 model.</summary>
/// <param name="A">[r, in].</param>
/// <param name="B">[out, r].</param>
/// <param name="Scale">alpha / r, or alpha / √r (rank-stabilised).</param>
internal sealed record LoraPair(Tensor A, Tensor B, double Scale)
{
    /// <summary>Returns true where this is a delta of the shape of <paramref name="weight"/> [out, in].</summary>
    public bool Fits(StoredWeight weight) => B.shape[0] == weight.Shape[0] && A.shape[1] == weight.Shape[1];

    /// <summary>Returns Bᵀ [r,out] in <paramref name="dtype"/>, contiguous.</summary>
    public Tensor TransposedB(ScalarType dtype) => B.to(dtype).t().contiguous();

    /// <summary>Computes scale · B A, [out, in].</summary>
    public Tensor FullDelta() => B.mm(A) * Scale;
}
