namespace DiffusionGemma;

/// <summary>The settings of some matrices in config.json.</summary>
/// <param name="Targets">`Linear`, module names, or `re:` and a regular expression.</param>
/// <param name="Format">The format's name in compressed-tensors.</param>
/// <param name="Bits">Bits of an element.</param>
/// <param name="Symmetric">Whether there are no zero points.</param>
/// <param name="GroupSize">Elements of a row that share a scale; null: the whole row.</param>
internal sealed record QuantizationGroup(IReadOnlyList<string> Targets, string Format, int Bits, bool Symmetric, int? GroupSize);
