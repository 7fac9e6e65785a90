namespace DiffusionGemma;

/// <summary>Why an answer ended.</summary>
public enum FinishReason
{
    /// <summary>An end token.</summary>
    End,

    /// <summary>As many tokens as were allowed.</summary>
    Length,

    /// <summary>The caller's cancellation, with <see cref="GenerationOptions.ReturnOnCancellation"/>.</summary>
    Cancelled,
}
