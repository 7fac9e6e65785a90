namespace DiffusionGemma;

/// <summary>The numbers that the scales of a stored matrix are.</summary>
internal enum ScaleFormat
{
    /// <summary>No scale: the elements are the values.</summary>
    None,

    BFloat16,

    Float16,

    Float32,

    /// <summary>A byte: sign, 4 bits of exponent, 3 of mantissa.</summary>
    Float8,

    /// <summary>A byte: the exponent of a power of two, plus 127.</summary>
    PowerOfTwo,
}
