namespace DiffusionGemma;

/// <summary>Limits of the automaton that a grammar is compiled into.</summary>
public sealed record GrammarOptions
{
    /// <summary>
    /// Number of times that <c>$ref</c>s may lead back into one that is being read, all together; deeper alternatives are left out.
    /// Default: 3.
    /// </summary>
    public int RecursionDepth { get; init; } = 3;

    /// <summary>States of the automaton over bytes at most. A character of a bounded string takes about eight. Default: 20 000.</summary>
    public int MostStates { get; init; } = 20_000;

    internal void Validate()
    {
        if (RecursionDepth is < 0 or > 64)
            throw new ArgumentOutOfRangeException("GrammarOptions.RecursionDepth", RecursionDepth,
                "GrammarOptions.RecursionDepth must be between 0 and 64.");
        if (MostStates < 1)
            throw new ArgumentOutOfRangeException("GrammarOptions.MostStates", MostStates, "GrammarOptions.MostStates must be at least 1.");
    }
}
