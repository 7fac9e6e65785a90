namespace DiffusionGemma;

/// <summary>The two passes over the one stack; an adapter may hold different values for each.</summary>
internal enum Pass
{
    /// <summary>Causal, over clean tokens.</summary>
    Encoder,

    /// <summary>Bidirectional, over the noised canvas.</summary>
    Decoder,
}
