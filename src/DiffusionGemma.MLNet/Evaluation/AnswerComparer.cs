using System.Globalization;
using System.Text.RegularExpressions;

namespace DiffusionGemma;

/// <summary>Compares answers.</summary>
internal sealed partial class AnswerComparer(AnswerMatch match, Regex? pattern, StringComparison comparison)
{
    /// <summary>Extracts the part of a text that is compared; null where there is none.</summary>
    /// <param name="text">The answer, or what is expected.</param>
    /// <param name="isExpected">True for the expected text, which may be the number alone.</param>
    public string? ExtractKey(string text, bool isExpected) => match switch
    {
        AnswerMatch.Number => Number(text, isExpected),
        AnswerMatch.Text => text.Trim(),
        _ => pattern!.Matches(text) is [.., Match last] ? last.Groups[last.Groups.Count > 1 ? 1 : 0].Value : null,
    };

    /// <summary>The description of a missing key, for <see cref="AnswerResult.Reason"/>.</summary>
    public string MissingKey => match == AnswerMatch.Number ? "no number after '####'" : "nothing that the pattern matches";

    public bool AreEqual(string? answer, string? expected) => answer is not null && expected is not null
        && string.Equals(answer, expected, comparison);

    private static string? Number(string text, bool mayStandAlone)
    {
        string? number = Marked().Matches(text) is [.., Match last] ? last.Groups[1].Value : mayStandAlone ? text.Trim() : null;
        if (number is null) return null;
        string plain = number.Replace("$", "", StringComparison.Ordinal).Replace(",", "", StringComparison.Ordinal).TrimEnd('.').Trim();
        return decimal.TryParse(plain, NumberStyles.AllowLeadingSign | NumberStyles.AllowDecimalPoint, CultureInfo.InvariantCulture,
            out decimal value)
            ? (value / 1.0000000000000000000000000000m)
                .ToString(CultureInfo.InvariantCulture)                    // 1.50 and 1.5 are one number
            : null;
    }

    [GeneratedRegex(@"####[ \t]*(-?\$?-?[\d.,]+)")]
    private static partial Regex Marked();
}
