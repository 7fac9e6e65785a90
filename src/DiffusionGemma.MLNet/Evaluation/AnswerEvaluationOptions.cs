using System.Text.RegularExpressions;

namespace DiffusionGemma;

/// <summary>Settings for comparing answers with expected texts.</summary>
public sealed record AnswerEvaluationOptions
{
    /// <summary>The rule by which an answer counts as right. Default: <see cref="AnswerMatch.Number"/>.</summary>
    public AnswerMatch Match { get; init; } = AnswerMatch.Number;

    /// <summary>The regular expression of <see cref="AnswerMatch.Pattern"/>; required there, refused elsewhere.</summary>
    public string? Pattern { get; init; }

    /// <summary>True where upper and lower case count as the same.</summary>
    public bool IgnoreCase { get; init; }

    /// <summary>The text column of expected answers; null: the assistant's last turn in <see cref="ChatColumns.Messages"/>.</summary>
    public string? ExpectedColumn { get; init; }

    /// <summary>The text column of answers. Default: "Response".</summary>
    public string ResponseColumn { get; init; } = ChatColumns.Response;

    /// <summary>
    /// The checkpoint whose tokenizer reads the thoughts and tool calls of expected texts, which are left out as they are of answers; null:
    /// that of the model, where the rows come from one, else expected texts are taken as they are.
    /// </summary>
    public string? Checkpoint { get; init; }

    /// <exception cref="ArgumentException">An option does not fit the others.</exception>
    internal AnswerComparer Comparer()
    {
        if (!Enum.IsDefined(Match)) throw new ArgumentException(
            $"AnswerEvaluationOptions.Match is {Match}: it must be one of the named ways.");
        if (Match == AnswerMatch.Pattern != Pattern is not null)
            throw new ArgumentException(
                $"AnswerEvaluationOptions.Pattern goes with Match = AnswerMatch.Pattern, and only with it; Match is {Match}.");
        RegexOptions how = RegexOptions.CultureInvariant | (IgnoreCase ? RegexOptions.IgnoreCase : RegexOptions.None);
        return new AnswerComparer(Match, Pattern is null ? null : new Regex(Pattern, how, TimeSpan.FromSeconds(5)), IgnoreCase
            ? StringComparison.OrdinalIgnoreCase : StringComparison.Ordinal);
    }
}
