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

    /// <summary>Whether this is the shape of a delta of <paramref name="stack"/> [E, out, in].</summary>
    public bool Fits(Tensor stack) => Experts == stack.shape[0] && B.shape[0] == stack.shape[1] && A.shape[1] == stack.shape[2];

    /// <summary>x [T, in] -> [T, out] for one expert.</summary>
    public Tensor Delta(Tensor x, int expert) =>
        nn.functional.linear(nn.functional.linear(x, AOf(expert).to(x.dtype)), BOf(expert).to(x.dtype)) * Scale;

    /// <summary>scale · B_e A_e for every expert, [E, out, in].</summary>
    public Tensor FullDelta() => bmm(B.view(B.shape[0], Rank, Experts).permute(2, 0, 1), A.view(Experts, Rank, A.shape[1])) * Scale;

    private Tensor AOf(int expert) => A.narrow(0, expert * Rank, Rank);

    private Tensor BOf(int expert) => B.view(B.shape[0], Rank, Experts).select(2, expert);
}
