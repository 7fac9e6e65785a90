namespace DiffusionGemma;

/// <summary>The rounding of frozen weights, in memory or in a folder.</summary>
public enum Quantization
{
    /// <summary>As the checkpoint has them.</summary>
    None,

    /// <summary>8 bits, symmetric, a scale a row: about half of bfloat16's memory.</summary>
    Int8,

    /// <summary>4 bits, symmetric, a scale for 32 numbers of a row: about 0.28 of bfloat16's memory. The embedding takes 8 bits.</summary>
    Int4,
}
