using static TorchSharp.torch;

namespace DiffusionGemma;

/// <summary>
/// Low-rank deltas of an expert stack, in PEFT's layout: A is reshape(E, r, in), experts outermost; B is reshape(out, r, E), experts
/// innermost; delta[e] = scale · B[:, :, e] A[e].
/// </summary>
/// <param name="A">[E·r, in].</param>
/// <param name="B">[out, r·E].</param>
/// <param name="Experts">E.</param>
/// <param name="Scale">alpha / r, or alpha / √r.</param>
internal sealed record ExpertStackLora(Tensor A, Tensor B, int Experts, double Scale)
{
    /// <summary>r.</summary>
    public long Rank => A.shape[0] / Experts;

    /// <summary>Returns true where this is a delta of the shape of <paramref name="stack"/> [E, out, in].</summary>
    public bool Fits(StoredWeight stack) =>
        Experts == stack.Shape[0] && B.shape[0] == stack.Shape[1] && A.shape[1] == stack.Shape[2];

    /// <summary>Returns A [E,r,in] and Bᵀ [E,r,out] of every expert in <paramref name="dtype"/>, contiguous: B is copied.</summary>
    public (Tensor A, Tensor B) OfExperts(ScalarType dtype) =>
        (ByExpertA(A).to(dtype).contiguous(), ByExpertB(B).transpose(1, 2).to(dtype).contiguous());

    /// <summary>Computes scale · B_e A_e for every expert, [E, out, in].</summary>
    public Tensor FullDelta() => bmm(ByExpertB(B), ByExpertA(A)) * Scale;

    /// <summary>Adds gradients over each expert's rows to tensors of A's and B's shapes.</summary>
    /// <param name="toA">[E·r, in]; added to.</param>
    /// <param name="toB">[out, r·E]; added to.</param>
    /// <param name="x">[N,in], the rows of one expert after those of the one before it.</param>
    /// <param name="low">scale · A_e x, [N,r].</param>
    /// <param name="dy">[N,out].</param>
    /// <param name="dlow">scale · B_eᵀ dy, [N,r].</param>
    /// <param name="counts">[E]: how many rows are each expert's.</param>
    public void AddGradients(Tensor toA, Tensor toB, Tensor x, Tensor low, Tensor dy, Tensor dlow, long[] counts)
    {
        using var scope = NewDisposeScope();
        Kernels.GroupedAddOuter(ByExpertA(toA), dlow, x, counts);
        Tensor b = zeros(Experts, B.shape[0], Rank, dtype: toB.dtype, device: toB.device);
        Kernels.GroupedAddOuter(b, dy, low, counts);
        ByExpertB(toB).add_(b);
    }

    private Tensor ByExpertA(Tensor a) => a.view(Experts, Rank, A.shape[1]);

    private Tensor ByExpertB(Tensor b) => b.view(B.shape[0], Rank, Experts).permute(2, 0, 1);
}
