namespace DiffusionGemma;

/// <summary>Treatment of rows whose answer does not end before the maximum length.</summary>
public enum TruncatedRows
{
    /// <summary>
    /// The row is trained on without its end: nothing beyond the maximum length is filled, so that no false end is learned.
    /// </summary>
    Keep,

    /// <summary>The row is left out of training.</summary>
    Drop,
}
