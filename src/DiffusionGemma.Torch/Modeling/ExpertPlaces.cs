using static TorchSharp.torch;

namespace DiffusionGemma;

/// <summary>The places that one adapter's rows have among all rows sorted by expert.</summary>
/// <param name="Indices">[n] int64: the places, sorted by expert.</param>
/// <param name="Rows">The places of each expert.</param>
internal sealed record ExpertPlaces(Tensor Indices, ExpertRows Rows);
