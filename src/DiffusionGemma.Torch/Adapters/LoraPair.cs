using TorchSharp;
using static TorchSharp.torch;

namespace DiffusionGemma;

/// <summary>The low-rank delta of one projection in one pass: scale · B A. Kept in at least float32 beside a bfloat16 model.</summary>
/// <param name="A">[r, in].</param>
/// <param name="B">[out, r].</param>
/// <param name="Scale">alpha / r, or alpha / √r (rank-stabilised).</param>
internal sealed record LoraPair(Tensor A, Tensor B, double Scale)
{
    // Not the process's one generator, which ranks and workers would share.
    [ThreadStatic]
    private static Generator? _draws;

    /// <summary>Probability with which an input is dropped while training; 0 otherwise.</summary>
    public double Dropout { get; set; }

    /// <summary>Whether this is the shape of a delta of <paramref name="weight"/> [out, in].</summary>
    public bool Fits(Tensor weight) => B.shape[0] == weight.shape[0] && A.shape[1] == weight.shape[1];

    /// <summary>What dropout draws on this thread follows from this seed from now on.</summary>
    public static void SeedDropout(long seed) => Draws.manual_seed(seed);

    private static Generator Draws => _draws ??= new Generator(0, CPU);

    /// <summary>scale · B A, [out, in].</summary>
    public Tensor FullDelta() => B.mm(A) * Scale;

    /// <summary>Which numbers of an input of that shape stay, bool; null: all. Drawn anew by every call.</summary>
    public Tensor? Kept(long[] shape, Device device) => Dropout > 0 ? rand(shape, generator: Draws).ge(Dropout).to(device) : null;
}
