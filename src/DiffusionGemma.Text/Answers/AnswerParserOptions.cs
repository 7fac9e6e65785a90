namespace DiffusionGemma;

/// <summary>Options of reading an answer.</summary>
public sealed record AnswerParserOptions
{
    /// <summary>
    /// Texts that end the answer; they are left out themselves. They are looked for in the answer's text, not in its reasoning.
    /// </summary>
    public IReadOnlyList<string> StopSequences { get; init; } = [];

    /// <summary>False makes every tool call a <see cref="MalformedToolCall"/>. Default: true.</summary>
    public bool AllowsToolCalls { get; init; } = true;

    /// <summary>True ends the answer with its first tool call.</summary>
    public bool EndsWithFirstToolCall { get; init; }
}
