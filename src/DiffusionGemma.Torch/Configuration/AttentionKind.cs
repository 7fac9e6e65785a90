namespace DiffusionGemma;

/// <summary>The positions that a layer's attention sees.</summary>
public enum AttentionKind
{
    /// <summary>`sliding_attention`: the last <see cref="DiffusionGemmaConfig.SlidingWindow"/> positions; has a value projection.</summary>
    Sliding,

    /// <summary>`full_attention`: every position; has no value projection, its values are its keys.</summary>
    Full,
}
