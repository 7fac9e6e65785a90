using static TorchSharp.torch;

namespace DiffusionGemma;

/// <summary>
/// Largest differences from recorded results, on every device: of float64 what is left is the rounding of references that computed in
/// float32; of float32 both round, with TF32 off on CUDA, so that a GPU is held to a CPU's tolerances.
/// </summary>
internal static class Tolerances
{
    /// <summary>
    /// bfloat16 has 8 bits of mantissa, and moves here and there a token to another expert: the root-mean-square of the difference of
    /// logits, over that of the logits.
    /// </summary>
    public const double BFloat16Passes = 0.2;

    /// <summary>Relative difference of each bfloat16 loss, of 5 to 7.</summary>
    public const double BFloat16Losses = 0.05;

    /// <summary>Losses and gradient norms of twenty steps, relative: the drift of float32 is 1e-5.</summary>
    public const double Losses = 1e-4;

    /// <summary>Logits, hidden states and gradients, absolute.</summary>
    public static double Passes(ScalarType dtype) => dtype == ScalarType.Float64 ? 1e-4 : 2e-4;
}
