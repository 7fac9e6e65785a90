namespace DiffusionGemma;

/// <summary>What a request wants to see of its answer.</summary>
internal sealed record ParserSettings
{
    /// <summary>Texts that end the answer, themselves left out.</summary>
    public IReadOnlyList<string> StopSequences { get; init; } = [];

    /// <summary>Whether the generation prompt ends inside a thought.</summary>
    public bool BeginsInThought { get; init; }

    /// <summary>Whether thoughts are content; they are left out otherwise.</summary>
    public bool KeepsThoughts { get; init; } = true;

    /// <summary>Whether the model may call tools at all.</summary>
    public bool AllowsCalls { get; init; } = true;

    /// <summary>Whether the answer ends with its first call.</summary>
    public bool EndsWithFirstCall { get; init; }
}
