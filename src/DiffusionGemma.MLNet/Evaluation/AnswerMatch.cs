namespace DiffusionGemma;

/// <summary>The rule by which an answer counts as the expected one.</summary>
public enum AnswerMatch
{
    /// <summary>GSM8K's rule: the numbers after the last <c>####</c> of both texts are equal.</summary>
    /// <remarks>
    /// Commas between digits, a currency sign and a trailing dot do not matter. An expected text without <c>####</c> is the number itself.
    /// </remarks>
    Number,

    /// <summary>The texts are equal, apart from white space around them.</summary>
    Text,

    /// <summary>
    /// The last matches of a regular expression in both texts are equal: its first group, or the whole match where it has none.
    /// </summary>
    Pattern,
}
