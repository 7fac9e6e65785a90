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

    /// <summary>Returns A_e [r,in] and B_e [out,r] of every expert in <paramref name="dtype"/>, contiguous: B is copied.</summary>
    public (Tensor[] A, Tensor[] B) OfExperts(ScalarType dtype) =>
        (ByExpertA(A).to(dtype).unbind(0), ByExpertB(B).to(dtype).contiguous().unbind(0));

    /// <summary>Computes scale · B_e A_e for every expert, [E, out, in].</summary>
    public Tensor FullDelta() => bmm(ByExpertB(B), ByExpertA(A)) * Scale;

    private Tensor ByExpertA(Tensor a) => a.view(Experts, Rank, A.shape[1]);

    private Tensor ByExpertB(Tensor b) => b.view(B.shape[0], Rank, Experts).permute(2, 0, 1);

    /// <summary>Accumulates gradients of A and B expert by expert, in B's contiguous form.</summary>
    public sealed class Gradients(ExpertStackLora lora)
    {
        private readonly Tensor _a = zeros(lora.Experts, lora.Rank, lora.A.shape[1], dtype: lora.A.dtype, device: lora.A.device);
        private readonly Tensor _b = zeros(lora.Experts, lora.B.shape[0], lora.Rank, dtype: lora.B.dtype, device: lora.B.device);

        /// <summary>Accumulates the gradients of one expert's rows.</summary>
        /// <param name="expert">e.</param>
        /// <param name="x">[n,in].</param>
        /// <param name="low">scale · A_e x, [n,r].</param>
        /// <param name="dy">[n,out].</param>
        /// <param name="dlow">scale · B_eᵀ dy, [n,r].</param>
        public void Add(int expert, Tensor x, Tensor low, Tensor dy, Tensor dlow)
        {
            _a.select(0, expert).add_(dlow.t().mm(x));
            _b.select(0, expert).add_(dy.t().mm(low));
        }

        /// <summary>Adds the accumulated gradients to tensors of A's and B's shapes.</summary>
        public void AddTo(Tensor a, Tensor b)
        {
            lora.ByExpertA(a).add_(_a);
            lora.ByExpertB(b).add_(_b);
        }
    }
}
