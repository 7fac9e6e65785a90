using System.Text;

namespace DiffusionGemma.Jinja;

/// <summary>
/// Python's upper, lower and title: those of .NET, and the characters of Unicode's SpecialCasing.txt that become more than one.
/// </summary>
internal static class PyCase
{
    private const char CapitalDottedI = '\u0130';
    private const char CapitalSigma = '\u03a3';

    /// <summary>Character, its capitals, and its capitals at the start of a word.</summary>
    private static readonly string[] Expanding =
    [
        "\u00df \u0053\u0053 \u0053\u0073", "\u0149 \u02bc\u004e \u02bc\u004e", "\u01f0 \u004a\u030c \u004a\u030c",
        "\u0390 \u0399\u0308\u0301 \u0399\u0308\u0301", "\u03b0 \u03a5\u0308\u0301 \u03a5\u0308\u0301", "\u0587 \u0535\u0552 \u0535\u0582",
        "\u1e96 \u0048\u0331 \u0048\u0331", "\u1e97 \u0054\u0308 \u0054\u0308", "\u1e98 \u0057\u030a \u0057\u030a",
        "\u1e99 \u0059\u030a \u0059\u030a", "\u1e9a \u0041\u02be \u0041\u02be", "\u1f50 \u03a5\u0313 \u03a5\u0313",
        "\u1f52 \u03a5\u0313\u0300 \u03a5\u0313\u0300", "\u1f54 \u03a5\u0313\u0301 \u03a5\u0313\u0301",
        "\u1f56 \u03a5\u0313\u0342 \u03a5\u0313\u0342",
        "\u1f80 \u1f08\u0399 \u1f88", "\u1f81 \u1f09\u0399 \u1f89", "\u1f82 \u1f0a\u0399 \u1f8a",
        "\u1f83 \u1f0b\u0399 \u1f8b", "\u1f84 \u1f0c\u0399 \u1f8c", "\u1f85 \u1f0d\u0399 \u1f8d",
        "\u1f86 \u1f0e\u0399 \u1f8e", "\u1f87 \u1f0f\u0399 \u1f8f", "\u1f88 \u1f08\u0399 \u1f88",
        "\u1f89 \u1f09\u0399 \u1f89", "\u1f8a \u1f0a\u0399 \u1f8a", "\u1f8b \u1f0b\u0399 \u1f8b",
        "\u1f8c \u1f0c\u0399 \u1f8c", "\u1f8d \u1f0d\u0399 \u1f8d", "\u1f8e \u1f0e\u0399 \u1f8e",
        "\u1f8f \u1f0f\u0399 \u1f8f", "\u1f90 \u1f28\u0399 \u1f98", "\u1f91 \u1f29\u0399 \u1f99",
        "\u1f92 \u1f2a\u0399 \u1f9a", "\u1f93 \u1f2b\u0399 \u1f9b", "\u1f94 \u1f2c\u0399 \u1f9c",
        "\u1f95 \u1f2d\u0399 \u1f9d", "\u1f96 \u1f2e\u0399 \u1f9e", "\u1f97 \u1f2f\u0399 \u1f9f",
        "\u1f98 \u1f28\u0399 \u1f98", "\u1f99 \u1f29\u0399 \u1f99", "\u1f9a \u1f2a\u0399 \u1f9a",
        "\u1f9b \u1f2b\u0399 \u1f9b", "\u1f9c \u1f2c\u0399 \u1f9c", "\u1f9d \u1f2d\u0399 \u1f9d",
        "\u1f9e \u1f2e\u0399 \u1f9e", "\u1f9f \u1f2f\u0399 \u1f9f", "\u1fa0 \u1f68\u0399 \u1fa8",
        "\u1fa1 \u1f69\u0399 \u1fa9", "\u1fa2 \u1f6a\u0399 \u1faa", "\u1fa3 \u1f6b\u0399 \u1fab",
        "\u1fa4 \u1f6c\u0399 \u1fac", "\u1fa5 \u1f6d\u0399 \u1fad", "\u1fa6 \u1f6e\u0399 \u1fae",
        "\u1fa7 \u1f6f\u0399 \u1faf", "\u1fa8 \u1f68\u0399 \u1fa8", "\u1fa9 \u1f69\u0399 \u1fa9",
        "\u1faa \u1f6a\u0399 \u1faa", "\u1fab \u1f6b\u0399 \u1fab", "\u1fac \u1f6c\u0399 \u1fac",
        "\u1fad \u1f6d\u0399 \u1fad", "\u1fae \u1f6e\u0399 \u1fae", "\u1faf \u1f6f\u0399 \u1faf",
        "\u1fb2 \u1fba\u0399 \u1fba\u0345", "\u1fb3 \u0391\u0399 \u1fbc", "\u1fb4 \u0386\u0399 \u0386\u0345",
        "\u1fb6 \u0391\u0342 \u0391\u0342", "\u1fb7 \u0391\u0342\u0399 \u0391\u0342\u0345", "\u1fbc \u0391\u0399 \u1fbc",
        "\u1fc2 \u1fca\u0399 \u1fca\u0345", "\u1fc3 \u0397\u0399 \u1fcc", "\u1fc4 \u0389\u0399 \u0389\u0345",
        "\u1fc6 \u0397\u0342 \u0397\u0342", "\u1fc7 \u0397\u0342\u0399 \u0397\u0342\u0345", "\u1fcc \u0397\u0399 \u1fcc",
        "\u1fd2 \u0399\u0308\u0300 \u0399\u0308\u0300", "\u1fd3 \u0399\u0308\u0301 \u0399\u0308\u0301", "\u1fd6 \u0399\u0342 \u0399\u0342",
        "\u1fd7 \u0399\u0308\u0342 \u0399\u0308\u0342", "\u1fe2 \u03a5\u0308\u0300 \u03a5\u0308\u0300",
        "\u1fe3 \u03a5\u0308\u0301 \u03a5\u0308\u0301",
        "\u1fe4 \u03a1\u0313 \u03a1\u0313", "\u1fe6 \u03a5\u0342 \u03a5\u0342", "\u1fe7 \u03a5\u0308\u0342 \u03a5\u0308\u0342",
        "\u1ff2 \u1ffa\u0399 \u1ffa\u0345", "\u1ff3 \u03a9\u0399 \u1ffc", "\u1ff4 \u038f\u0399 \u038f\u0345",
        "\u1ff6 \u03a9\u0342 \u03a9\u0342", "\u1ff7 \u03a9\u0342\u0399 \u03a9\u0342\u0345", "\u1ffc \u03a9\u0399 \u1ffc",
        "\ufb00 \u0046\u0046 \u0046\u0066", "\ufb01 \u0046\u0049 \u0046\u0069", "\ufb02 \u0046\u004c \u0046\u006c",
        "\ufb03 \u0046\u0046\u0049 \u0046\u0066\u0069", "\ufb04 \u0046\u0046\u004c \u0046\u0066\u006c", "\ufb05 \u0053\u0054 \u0053\u0074",
        "\ufb06 \u0053\u0054 \u0053\u0074", "\ufb13 \u0544\u0546 \u0544\u0576", "\ufb14 \u0544\u0535 \u0544\u0565",
        "\ufb15 \u0544\u053b \u0544\u056b", "\ufb16 \u054e\u0546 \u054e\u0576", "\ufb17 \u0544\u053d \u0544\u056d",
    ];

    private static readonly Dictionary<int, (string Upper, string Title)> Special = Expanding
        .Select(line => line.Split(' '))
        .ToDictionary(parts => (int)parts[0][0], parts => (parts[1], parts[2]));

    public static string Upper(string text) => Map(text, static rune => Special.TryGetValue(rune.Value, out var special)
        ? special.Upper : Rune.ToUpperInvariant(rune).ToString());

    public static string Lower(string text) => text.AsSpan().ContainsAny(CapitalDottedI, CapitalSigma)
        ? MapInPlace(text, static (rune, text, at) => LowerAt(rune, text, at))
        : Map(text, static rune => Rune.ToLowerInvariant(rune).ToString());

    /// <summary>str.capitalize: the first character as a title has it, the rest small.</summary>
    public static string Capitalize(string text)
    {
        if (text.Length == 0)
            return text;
        int first = char.IsSurrogatePair(text, 0) ? 2 : 1;
        return TitleOf(text[..first]) + Lower(text)[Lower(text[..first]).Length..];
    }

    /// <summary>str.title: each run of letters capitalized.</summary>
    public static string Title(string text)
    {
        bool inWord = false;
        return MapInPlace(text, (rune, text, at) =>
        {
            string mapped = inWord ? LowerAt(rune, text, at) : TitleOf(rune.ToString());
            inWord = IsCased(rune);
            return mapped;
        });
    }

    public static string SwapCase(string text) => MapInPlace(text, static (rune, text, at) =>
        Rune.IsUpper(rune) ? LowerAt(rune, text, at) : Rune.IsLower(rune) ? Upper(rune.ToString()) : rune.ToString());

    /// <summary>True if the character has an upper and a lower case.</summary>
    public static bool IsCased(Rune rune) => Rune.IsUpper(rune) || Rune.IsLower(rune)
        || Rune.GetUnicodeCategory(rune) == System.Globalization.UnicodeCategory.TitlecaseLetter;

    private static string TitleOf(string character) => Special.TryGetValue(character[0], out var special)
        ? special.Title
        : character[0] switch
        {
            // Digraphs have a third form: only the first half is a capital.
            '\u01c4' or '\u01c5' or '\u01c6' => "\u01c5",
            '\u01c7' or '\u01c8' or '\u01c9' => "\u01c8",
            '\u01ca' or '\u01cb' or '\u01cc' => "\u01cb",
            '\u01f1' or '\u01f2' or '\u01f3' => "\u01f2",
            (>= '\u10d0' and <= '\u10fa') or (>= '\u10fd' and <= '\u10ff') => character,     // Georgian titles stay small
            _ => Upper(character),
        };

    /// <summary>The small form of a character, for which its place in the text matters.</summary>
    private static string LowerAt(Rune rune, string text, int at) => rune.Value switch
    {
        CapitalDottedI => "i\u0307",
        CapitalSigma => EndsWord(text, at) ? "\u03c2" : "\u03c3",
        _ => Rune.ToLowerInvariant(rune).ToString(),
    };

    /// <summary>A sigma is final when a letter comes before it and none after it.</summary>
    private static bool EndsWord(string text, int at)
    {
        int before = at - 1;
        while (before >= 0 && IsIgnored(text[before]))
            before--;
        int after = at + 1;
        while (after < text.Length && IsIgnored(text[after]))
            after++;
        return before >= 0 && char.IsLetter(text[before]) && !(after < text.Length && char.IsLetter(text[after]));

        static bool IsIgnored(char unit) => unit is '\'' or '\u2019' or '.' or ':' or '\u00b7' or '\u00ad'
            || char.GetUnicodeCategory(
                unit) is System.Globalization.UnicodeCategory.NonSpacingMark or System.Globalization.UnicodeCategory.Format;
    }

    private static string Map(string text, Func<Rune, string> map) => MapInPlace(text, (rune, _, _) => map(rune));

    private static string MapInPlace(string text, Func<Rune, string, int, string> map)
    {
        StringBuilder mapped = new(text.Length);
        int at = 0;
        foreach (Rune rune in text.EnumerateRunes())
        {
            mapped.Append(map(rune, text, at));
            at += rune.Utf16SequenceLength;
        }
        return mapped.ToString();
    }
}
