namespace DiffusionGemma;

/// <summary>The rotary position embedding of one kind of layer.</summary>
/// <param name="Theta">The base: frequency i of a head of D dimensions is Theta^(-2i/D), with the whole D in the exponent.</param>
/// <param name="RotatedFraction">The part of the head that is rotated: 1 (`default`) or `partial_rotary_factor` (`proportional`).</param>
public sealed record RopeParameters(double Theta, double RotatedFraction = 1.0)
{
    /// <summary>
    /// Returns the number of a head's D/2 frequencies that are not zero: the first ones. The other dimensions are not rotated.
    /// </summary>
    /// <param name="headDim">D, the dimensions of one head.</param>
    public int RotatedFrequencies(int headDim) => (int)Math.Floor(RotatedFraction * headDim / 2);
}
