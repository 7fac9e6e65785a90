using System.Text.Encodings.Web;

namespace DiffusionGemma;

/// <summary>Rewrites the characters of a language into the bytes that spell them: raw UTF-8, or UTF-8 inside a JSON string.</summary>
internal static class CharacterEncoding
{
    /// <summary>Code points that a JSON string holds as they are: those that System.Text.Json's relaxed encoder does not escape.</summary>
    private static readonly CodePointSet Unescaped = FindUnescaped();

    private static readonly (char Character, char Letter)[] ShortEscapes =
        [('"', '"'), ('\\', '\\'), ('\b', 'b'), ('\t', 't'), ('\n', 'n'), ('\f', 'f'), ('\r', 'r')];

    /// <summary>The language in UTF-8.</summary>
    public static Language Utf8(Language language) => Rewrite(language, Utf8);

    /// <summary>
    /// The language between the quotes of a JSON string, in the one form that <see cref="JavaScriptEncoder.UnsafeRelaxedJsonEscaping"/>
    /// writes.
    /// </summary>
    public static Language JsonString(Language language) => Rewrite(language, JsonCharacters);

    private static Language Rewrite(Language language, Func<CodePointSet, Language> encode) => language switch
    {
        Language.Characters characters => encode(characters.Set),
        Language.Sequence sequence => new Language.Sequence([.. sequence.Parts.Select(part => Rewrite(part, encode))]),
        Language.Choice choice => new Language.Choice([.. choice.Options.Select(option => Rewrite(option, encode))]),
        Language.Repeat repeat => repeat with { Item = Rewrite(repeat.Item, encode) },
        Language.Both both => new Language.Both(Rewrite(both.First, encode), Rewrite(both.Second, encode)),
        Language.Part part => part with { Inner = Rewrite(part.Inner, encode) },
        _ => language,
    };

    private static Language Utf8(CodePointSet set)
    {
        (int Last, int LeadBase, int LeadLast, int Continuations)[] lengths =
            [(0x7F, 0x00, 0x7F, 0), (0x7FF, 0xC0, 0xDF, 1), (0xFFFF, 0xE0, 0xEF, 2), (CodePointSet.Last, 0xF0, 0xF7, 3)];
        var options = new List<Language>();
        foreach ((int first, int last) in set.Ranges)
        {
            int start = 0;
            foreach ((int end, int leadBase, int leadLast, int continuations) in lengths)
            {
                (int from, int to) = (Math.Max(first, start), Math.Min(last, end));
                start = end + 1;
                if (from > to) continue;
                (int, int)[] limits = [(leadBase, leadLast), .. Enumerable.Repeat((0x80, 0xBF), continuations)];
                int[] Digits(int codePoint) =>
                [
                    leadBase + (codePoint >> (6 * continuations)),
                    .. Enumerable.Range(0, continuations).Select(i => 0x80 + ((codePoint >> (6 * (continuations - 1 - i))) & 0x3F)),
                ];
                options.AddRange(DigitRanges.Split(Digits(from), Digits(to), limits).Select(Product));
            }
        }
        return new Language.Choice(options);
    }

    private static Language Product((int First, int Last)[] bytes) =>
        new Language.Sequence([.. bytes.Select(b => (Language)new Language.Bytes((byte)b.First, (byte)b.Last))]);

    private static Language JsonCharacters(CodePointSet set)
    {
        var options = new List<Language> { Utf8(set.Intersect(Unescaped)) };
        foreach ((char character, char letter) in ShortEscapes)
            if (set.Contains(character)) options.Add(Language.Text($"\\{letter}"));
        CodePointSet escaped = set.Intersect(Unescaped.Union(CodePointSet.Of(ShortEscapes.Select(e =>
            ((int)e.Character, (int)e.Character)))).Complement());
        foreach ((int first, int last) in escaped.Ranges)
        {
            if (first <= 0xFFFF) options.AddRange(Escapes(first, Math.Min(last, 0xFFFF)));
            if (last <= 0xFFFF) continue;
            // A code point above U+FFFF is a pair of surrogates, each with ten of its bits.
            int[] Pair(int codePoint) => [0xD800 + ((codePoint - 0x10000) >> 10), 0xDC00 + ((codePoint - 0x10000) & 0x3FF)];
            foreach ((int First, int Last)[] pair in DigitRanges.Split(
                Pair(Math.Max(first, 0x10000)), Pair(last), [(0xD800, 0xDBFF), (0xDC00, 0xDFFF)]))
            {
                Language high = new Language.Choice([.. Escapes(pair[0].First, pair[0].Last)]);
                options.Add(new Language.Sequence([high, new Language.Choice([.. Escapes(pair[1].First, pair[1].Last)])]));
            }
        }
        return new Language.Choice(options);
    }

    /// <summary>\uXXXX of every UTF-16 unit of a range, with upper-case digits.</summary>
    private static IEnumerable<Language> Escapes(int first, int last)
    {
        static int[] Digits(int unit) => [unit >> 12, (unit >> 8) & 15, (unit >> 4) & 15, unit & 15];
        (int, int)[] limits = [(0, 15), (0, 15), (0, 15), (0, 15)];
        return DigitRanges.Split(Digits(first), Digits(last), limits)
            .Select(digits => (Language)new Language.Sequence([Language.Text("\\u"), .. digits.Select(d => HexDigit(d.First, d.Last))]));
    }

    private static Language HexDigit(int first, int last)
    {
        static byte Digit(int value) => (byte)"0123456789ABCDEF"[value];
        var options = new List<Language>();
        if (first <= 9) options.Add(new Language.Bytes(Digit(first), Digit(Math.Min(last, 9))));
        if (last > 9) options.Add(new Language.Bytes(Digit(Math.Max(first, 10)), Digit(last)));
        return new Language.Choice(options);
    }

    private static CodePointSet FindUnescaped()
    {
        JavaScriptEncoder encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping;
        return CodePointSet.Of(CodePointSet.All.Ranges.SelectMany(range => Enumerable.Range(range.First, range.Last - range.First + 1))
            .Where(codePoint => !encoder.WillEncode(codePoint)).Select(codePoint => (codePoint, codePoint)));
    }
}
