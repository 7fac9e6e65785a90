using System.Globalization;
using System.Text;

namespace DiffusionGemma.Jinja;

/// <summary>Python's str: indices count code points, and Python's own set of characters counts as space.</summary>
internal static class PyString
{
    /// <summary>str.isspace of one character.</summary>
    public static bool IsSpace(char character) => character
        is (>= '\t' and <= '\r') or (>= '\x1c' and <= ' ') or '\x85' or '\xa0' or '\u1680' or (>= '\u2000' and <= '\u200a')
        or '\u2028' or '\u2029' or '\u202f' or '\u205f' or '\u3000';

    public static bool IsBlank(ReadOnlySpan<char> text)
    {
        foreach (char character in text)
        {
            if (!IsSpace(character))
                return false;
        }
        return true;
    }

    public static string TrimStart(string text)
    {
        int start = 0;
        while (start < text.Length && IsSpace(text[start]))
            start++;
        return text[start..];
    }

    public static string TrimEnd(string text)
    {
        int end = text.Length;
        while (end > 0 && IsSpace(text[end - 1]))
            end--;
        return text[..end];
    }

    public static string Trim(string text) => TrimEnd(TrimStart(text));

    /// <summary>Trims any of the given characters; null: space.</summary>
    public static string Trim(string text, string? characters, bool start, bool end)
    {
        if (characters is null)
            return (start, end) switch { (true, true) => Trim(text), (true, false) => TrimStart(text), _ => TrimEnd(text) };
        HashSet<string> set = [.. Characters(characters)];
        List<string> all = [.. Characters(text)];
        int from = 0;
        int to = all.Count;
        while (start && from < to && set.Contains(all[from]))
            from++;
        while (end && to > from && set.Contains(all[to - 1]))
            to--;
        return string.Concat(all[from..to]);
    }

    /// <summary>One text for each code point; half a surrogate pair counts as one.</summary>
    public static IEnumerable<string> Characters(string text)
    {
        for (int at = 0; at < text.Length;)
        {
            int length = char.IsSurrogatePair(text, at) ? 2 : 1;
            yield return text.Substring(at, length);
            at += length;
        }
    }

    public static bool IsSimple(string text) => !text.AsSpan().ContainsAnyInRange('\uD800', '\uDFFF');

    /// <summary>Code points.</summary>
    public static long Length(string text)
    {
        long count = text.Length;
        for (int at = 0; at + 1 < text.Length; at++)
        {
            if (char.IsSurrogatePair(text[at], text[at + 1]))
            {
                count--;
                at++;
            }
        }
        return count;
    }

    /// <summary>The place in code points of a place in UTF-16 units.</summary>
    public static long CodePointIndex(string text, int unit) => unit < 0 ? -1 : Length(text[..unit]);

    /// <summary>Order of code points, which is not the order of UTF-16 units.</summary>
    public static int Compare(string left, string right)
    {
        int shorter = Math.Min(left.Length, right.Length);
        for (int at = 0; at < shorter; at++)
        {
            if (left[at] != right[at])
                return Rank(left[at]).CompareTo(Rank(right[at]));
        }
        return left.Length.CompareTo(right.Length);

        // Surrogates stand for what lies above all other units.
        static int Rank(char unit) => char.IsSurrogate(unit) ? unit + 0x10000 : unit;
    }

    /// <summary>Lines without their ends, at every character that Python takes for one.</summary>
    public static List<string> SplitLines(string text)
    {
        List<string> lines = [];
        int start = 0;
        for (int at = 0; at < text.Length; at++)
        {
            if (text[at] is not ('\n' or '\r' or '\v' or '\f' or '\x1c' or '\x1d' or '\x1e' or '\x85' or '\u2028' or '\u2029'))
                continue;
            lines.Add(text[start..at]);
            if (text[at] == '\r' && at + 1 < text.Length && text[at + 1] == '\n')
                at++;
            start = at + 1;
        }
        if (start < text.Length)
            lines.Add(text[start..]);
        return lines;
    }

    /// <summary>True if repr() shows the character as itself.</summary>
    public static bool IsPrintable(Rune rune) => rune.Value == ' ' || Rune.GetUnicodeCategory(rune) is not
        (UnicodeCategory.Control or UnicodeCategory.Format or UnicodeCategory.Surrogate or UnicodeCategory.PrivateUse
        or UnicodeCategory.OtherNotAssigned or UnicodeCategory.LineSeparator or UnicodeCategory.ParagraphSeparator
        or UnicodeCategory.SpaceSeparator);
}
