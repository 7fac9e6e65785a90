namespace DiffusionGemma;

/// <summary>The attention shape of one layer, resolved from either form of config.json.</summary>
/// <param name="Kind">Sliding or full attention.</param>
/// <param name="HeadDim">Dimensions of one head, of queries, keys and values alike; even.</param>
/// <param name="KeyValueHeads">Heads of keys and values; divides the number of query heads.</param>
/// <param name="Rope">The rotary embedding of this kind of layer.</param>
public sealed record LayerShape(AttentionKind Kind, int HeadDim, int KeyValueHeads, RopeParameters Rope);
