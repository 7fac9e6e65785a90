namespace DiffusionGemma;

/// <summary>The reason why a run ended.</summary>
public enum RunEnd
{
    /// <summary>All of its steps are done.</summary>
    Finished,

    /// <summary>Held-out losses no longer fell.</summary>
    StoppedEarly,

    /// <summary>Cancelled, with <see cref="RunOptions.ReturnOnCancellation"/>.</summary>
    Cancelled,
}
