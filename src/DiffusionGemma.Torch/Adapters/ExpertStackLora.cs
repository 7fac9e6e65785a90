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

    /// <summary>
    /// Returns A [E,r,in] and Bᵀ [E,r,out] of every expert in <paramref name="dtype"/>, contiguous: B is copied. For rows that are counted
    /// on the device r is padded with zeros (<see cref="GroupedProducts.PaddedRank"/>).
    /// </summary>
    public (Tensor A, Tensor B) OfExperts(ScalarType dtype, ExpertRows rows)
    {
        (Tensor a, Tensor b) = (ByExpertA(A).to(dtype), ByExpertB(B).transpose(1, 2).to(dtype));
        long padding = rows.Ends is null ? 0 : GroupedProducts.PaddedRank(Rank, dtype) - Rank;
        if (padding == 0) return (a.contiguous(), b.contiguous());
        Tensor Padded(Tensor low) => cat([low, zeros(Experts, padding, low.shape[2], dtype: dtype, device: low.device)], 1);
        return (Padded(a), Padded(b));
    }

    /// <summary>Computes scale · B_e A_e for every expert, [E, out, in].</summary>
    public Tensor FullDelta() => bmm(ByExpertB(B), ByExpertA(A)) * Scale;

    /// <summary>Adds gradients over each expert's rows to tensors of A's and B's shapes.</summary>
    /// <param name="toA">[E·r, in]; added to.</param>
    /// <param name="toB">[out, r·E]; added to.</param>
    /// <param name="x">[N,in], the rows of one expert after those of the one before it.</param>
    /// <param name="low">scale · A_e x, [N,r]; r as <see cref="OfExperts"/> padded it.</param>
    /// <param name="dy">[N,out].</param>
    /// <param name="dlow">scale · B_eᵀ dy, [N,r].</param>
    /// <param name="rows">The rows of each expert.</param>
    public void AddGradients(Tensor toA, Tensor toB, Tensor x, Tensor low, Tensor dy, Tensor dlow, ExpertRows rows)
    {
        using var scope = NewDisposeScope();
        Tensor a = ByExpertA(toA);
        if (low.shape[1] == Rank) Kernels.GroupedAddOuter(a, dlow, x, rows);
        else
        {
            Tensor padded = zeros(Experts, low.shape[1], x.shape[1], dtype: toA.dtype, device: toA.device);
            Kernels.GroupedAddOuter(padded, dlow, x, rows);
            a.add_(padded.narrow(1, 0, Rank));
        }
        Tensor b = zeros(Experts, B.shape[0], low.shape[1], dtype: toB.dtype, device: toB.device);
        Kernels.GroupedAddOuter(b, dy, low, rows);
        ByExpertB(toB).add_(b.narrow(2, 0, Rank));
    }

    private Tensor ByExpertA(Tensor a) => a.view(Experts, Rank, A.shape[1]);

    private Tensor ByExpertB(Tensor b) => b.view(B.shape[0], Rank, Experts).permute(2, 0, 1);
}
