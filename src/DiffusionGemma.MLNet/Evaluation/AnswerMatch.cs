using System.Globalization;
using System.Text.RegularExpressions;

namespace DiffusionGemma;

/// <summary>When an answer counts as the expected one.</summary>
public enum AnswerMatch
{
    /// <summary>
    /// GSM8K's rule: the numbers after the last <c>####</c> of both are the same number; commas between digits, a currency sign and a trailing dot
    /// do not matter. An expected text without <c>####</c> is the number itself.
    /// </summary>
    Number,

    /// <summary>The texts are the same, but for white space around them.</summary>
    Text,

    /// <summary>What a regular expression finds last in both is the same text: its first group, or all of it where it has none.</summary>
    Pattern,
}

/// <summary>Compares answers.</summary>
internal sealed partial class AnswerComparer(AnswerMatch match, Regex? pattern, StringComparison comparison)
{
    /// <summary>What of a text is compared; null where it has nothing to compare.</summary>
    /// <param name="text">The answer, or what is expected.</param>
    /// <param name="isExpected">A number that is expected may stand alone.</param>
    public string? KeyOf(string text, bool isExpected) => match switch
    {
        AnswerMatch.Number => Number(text, isExpected),
        AnswerMatch.Text => text.Trim(),
        _ => pattern!.Matches(text) is [.., Match last] ? last.Groups[last.Groups.Count > 1 ? 1 : 0].Value : null,
    };

    /// <summary>What a text lacks that has nothing to compare.</summary>
    public string Nothing => match == AnswerMatch.Number ? "no number after '####'" : "nothing that the pattern matches";

    public bool Same(string? answer, string? expected) => answer is not null && expected is not null && string.Equals(answer, expected, comparison);

    private static string? Number(string text, bool mayStandAlone)
    {
        string? number = Marked().Matches(text) is [.., Match last] ? last.Groups[1].Value : mayStandAlone ? text.Trim() : null;
        if (number is null) return null;
        string plain = number.Replace("$", "", StringComparison.Ordinal).Replace(",", "", StringComparison.Ordinal).TrimEnd('.').Trim();
        return decimal.TryParse(plain, NumberStyles.AllowLeadingSign | NumberStyles.AllowDecimalPoint, CultureInfo.InvariantCulture, out decimal value)
            ? (value / 1.0000000000000000000000000000m).ToString(CultureInfo.InvariantCulture)                    // 1.50 and 1.5 are one number
            : null;
    }

    [GeneratedRegex(@"####[ \t]*(-?\$?-?[\d.,]+)")]
    private static partial Regex Marked();
}
