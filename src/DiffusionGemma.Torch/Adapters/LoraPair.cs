using TorchSharp;
using static TorchSharp.torch;

namespace DiffusionGemma;

/// <summary>The low-rank delta of one projection in one pass: scale · B A. Kept in at least float32 beside a bfloat16 model.</summary>
/// <param name="A">[r, in].</param>
/// <param name="B">[out, r].</param>
/// <param name="Scale">alpha / r, or alpha / √r (rank-stabilised).</param>
internal sealed record LoraPair(Tensor A, Tensor B, double Scale)
{
    /// <summary>Probability with which an input is dropped while training; 0 otherwise.</summary>
    public double Dropout { get; set; }

    /// <summary>Where its draws come from.</summary>
    public Generator? Draws { get; set; }

    /// <summary>Whether this is the shape of a delta of <paramref name="weight"/> [out, in].</summary>
    public bool Fits(Tensor weight) => B.shape[0] == weight.shape[0] && A.shape[1] == weight.shape[1];

    /// <summary>x [..., in] -> [..., out].</summary>
    public Tensor Delta(Tensor x) => nn.functional.linear(nn.functional.linear(Dropped(x), A.to(x.dtype)), B.to(x.dtype)) * Scale;

    /// <summary>scale · B A, [out, in].</summary>
    public Tensor FullDelta() => B.mm(A) * Scale;

    // Not the process's one generator, which ranks would share.
    private Tensor Dropped(Tensor x) => Dropout > 0 ? x * rand(x.shape, generator: Draws).ge(Dropout).to(x.device).to(x.dtype) / (1 - Dropout) : x;
}
