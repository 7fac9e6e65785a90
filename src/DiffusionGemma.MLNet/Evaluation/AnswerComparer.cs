using System.Text.RegularExpressions;

namespace DiffusionGemma;

/// <summary>Compares answers.</summary>
internal sealed class AnswerComparer(AnswerMatch match, Regex? pattern, StringComparison comparison)
{
    /// <summary>Extracts the part of a text that is compared; null where there is none.</summary>
    /// <param name="text">The answer, or what is expected.</param>
    /// <param name="isExpected">True for the expected text, which may be the number alone.</param>
    public string? ExtractKey(string text, bool isExpected) => match switch
    {
        AnswerMatch.Number => AnswerNumber.Read(text, isExpected),
        AnswerMatch.Text => text.Trim(),
        AnswerMatch.Fields => AnswerFields.Read(text) is { } fields ? AnswerFields.Key(fields) : null,
        _ => pattern!.Matches(text) is [.., Match last] ? last.Groups[last.Groups.Count > 1 ? 1 : 0].Value : null,
    };

    /// <summary>The description of a missing key, for <see cref="AnswerResult.Reason"/>.</summary>
    public string MissingKey => match switch
    {
        AnswerMatch.Number => "no number after '####'",
        AnswerMatch.Fields => "no JSON object",
        _ => "nothing that the pattern matches",
    };

    /// <summary>Counts of fields, for <see cref="AnswerMatch.Fields"/>; null for other rules.</summary>
    public FieldCounts? CountFields() => match == AnswerMatch.Fields ? new FieldCounts(comparison) : null;

    public bool AreEqual(string? answer, string? expected) => answer is not null && expected is not null
        && string.Equals(answer, expected, comparison);
}
