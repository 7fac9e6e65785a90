namespace DiffusionGemma;

/// <summary>Callbacks of one call that answers a list of requests.</summary>
public sealed record GenerationCallbacks
{
    /// <summary>Called with the index of a request that cannot be answered, and the error; null: the error is thrown.</summary>
    public Action<int, Exception>? Failed { get; init; }

    /// <summary>Called before every decoder pass; an exception ends the call.</summary>
    public Action? BeforePass { get; init; }

    /// <summary>Called after every decoder pass, row by row.</summary>
    public IProgress<DenoisingStep>? Drafts { get; init; }
}
