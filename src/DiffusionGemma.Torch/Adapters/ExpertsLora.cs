using TorchSharp;
using static TorchSharp.torch;

namespace DiffusionGemma;

/// <summary>The deltas of a layer's two expert stacks in one pass; either may be absent.</summary>
internal sealed record ExpertsLora(ExpertStackLora? GateUp, ExpertStackLora? Down)
{
    /// <summary>Whether these are the shapes of deltas of <paramref name="experts"/>.</summary>
    public bool Fits(Experts experts) => (GateUp?.Fits(experts.GateUp) ?? true) && (Down?.Fits(experts.Down) ?? true);
}

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
    private long Rank => A.shape[0] / Experts;

    /// <summary>How B is split over ranks that own the experts between them.</summary>
    public ExpertSlice SliceOfB => new(B.shape[0] * Rank);

    /// <summary>Whether this is the shape of a delta of <paramref name="stack"/> [E, out, in].</summary>
    public bool Fits(Tensor stack) => Experts == stack.shape[0] && B.shape[0] == stack.shape[1] && A.shape[1] == stack.shape[2];

    /// <summary>A_e [r,in] and B_e [out,r] of every expert, for rows of <paramref name="dtype"/>; contiguous, so B is copied.</summary>
    public (Tensor[] A, Tensor[] B) OfExperts(ScalarType dtype) =>
        (ByExpertA(A).to(dtype).unbind(0), ByExpertB(B).to(dtype).contiguous().unbind(0));

    /// <summary>scale · B_e A_e for every expert, [E, out, in].</summary>
    public Tensor FullDelta() => bmm(ByExpertB(B), ByExpertA(A)) * Scale;

    private Tensor ByExpertA(Tensor a) => a.view(Experts, Rank, A.shape[1]);

    private Tensor ByExpertB(Tensor b) => b.view(B.shape[0], Rank, Experts).permute(2, 0, 1);

    /// <summary>Gradients of A and B, gathered expert by expert in B's contiguous form and added to the parameters' once.</summary>
    public sealed class Gradients(ExpertStackLora lora)
    {
        private readonly Tensor _a = zeros(lora.Experts, lora.Rank, lora.A.shape[1], dtype: lora.A.dtype, device: lora.A.device);
        private readonly Tensor _b = zeros(lora.Experts, lora.B.shape[0], lora.Rank, dtype: lora.B.dtype, device: lora.B.device);

        /// <summary>For the rows of one expert: x [n,in] and y's gradient dy [n,out].</summary>
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

        /// <summary>Adds what was gathered to tensors of A's and B's shapes.</summary>
        public void AddTo(Tensor a, Tensor b)
        {
            lora.ByExpertA(a).add_(_a);
            lora.ByExpertB(b).add_(_b);
        }
    }
}
