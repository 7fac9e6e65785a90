namespace DiffusionGemma;

/// <summary>The numbers that the elements of a stored matrix are.</summary>
internal enum ElementFormat
{
    /// <summary>A signed byte.</summary>
    Int8,

    /// <summary>An unsigned byte: q + 128.</summary>
    OffsetInt8,

    /// <summary>Four bits, unsigned: q + 8; of a byte the lower four come first.</summary>
    OffsetInt4,

    /// <summary>A byte: sign, 4 bits of exponent, 3 of mantissa; no infinities, largest 448.</summary>
    Float8,

    /// <summary>Four bits: sign, then 0, 0.5, 1, 1.5, 2, 3, 4, 6; of a byte the lower four come first.</summary>
    Float4,

    /// <summary>bfloat16, without a scale.</summary>
    BFloat16,
}
