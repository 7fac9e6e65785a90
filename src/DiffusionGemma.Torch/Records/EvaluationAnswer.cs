namespace DiffusionGemma;

/// <summary>The answer to a held-out row that an evaluation asked for (<see cref="EvaluationOptions.Answers"/>).</summary>
public sealed record EvaluationAnswer
{
    /// <summary>Index of the row in <see cref="EvaluationOptions.Examples"/>.</summary>
    public required int Row { get; init; }

    /// <summary>The row's tokens before its response.</summary>
    public required IReadOnlyList<int> PromptIds { get; init; }

    /// <summary>The row's response up to its first end token, included.</summary>
    public required IReadOnlyList<int> ExpectedIds { get; init; }

    /// <summary>The model's tokens up to the first end token, included; empty where <see cref="Error"/> says why.</summary>
    public required IReadOnlyList<int> ResponseIds { get; init; }

    /// <summary>Text of the prompt, control tokens included; null without an <see cref="EvaluationOptions.ReadAnswer"/>.</summary>
    public string? Prompt { get; init; }

    /// <summary>Text that is expected, without thoughts; null as above.</summary>
    public string? Expected { get; init; }

    /// <summary>Text of the answer, without thoughts; null as above.</summary>
    public string? Response { get; init; }

    /// <summary>True where the answer is the expected one; null where nothing compared them.</summary>
    public bool? IsMatch { get; init; }

    /// <summary>The reason why there is no answer; null: there is one.</summary>
    public string? Error { get; init; }
}
