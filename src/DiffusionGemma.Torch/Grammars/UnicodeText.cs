using System.Text;

namespace DiffusionGemma;

/// <summary>Refuses texts with half a surrogate pair: no bytes spell them, so no answer could hold them.</summary>
internal static class UnicodeText
{
    /// <param name="text">A label, pattern, name or value of a grammar.</param>
    /// <param name="owner">The text's role, which begins the error's sentence.</param>
    /// <exception cref="GrammarException">The text is no valid UTF-16.</exception>
    public static void Require(string text, string owner)
    {
        for (int at = 0; at < text.Length; at++)
        {
            if (Rune.TryGetRuneAt(text, at, out Rune rune))
                at += rune.Utf16SequenceLength - 1;
            else
                throw new GrammarException($"{owner} holds half a surrogate pair (\\u{(int)text[at]:x4}): it is no valid Unicode.");
        }
    }
}
