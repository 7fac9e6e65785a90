namespace DiffusionGemma;

/// <summary>Rewrites the characters of a language into the bytes that spell them: raw UTF-8, or UTF-8 inside a JSON string.</summary>
internal static class CharacterEncoding
{
    /// <summary>Code points that a JSON string must escape.</summary>
    private static readonly CodePointSet Escaped = CodePointSet.Of((0, 0x1F), ('"', '"'), ('\\', '\\'), (0x7F, 0x7F));

    private static readonly (char Character, char Letter)[] ShortEscapes =
        [('"', '"'), ('\\', '\\'), ('\b', 'b'), ('\t', 't'), ('\n', 'n'), ('\f', 'f'), ('\r', 'r')];

    /// <summary>The language in UTF-8.</summary>
    public static Language Utf8(Language language) => Rewrite(language, Utf8);

    /// <summary>
    /// The language between the quotes of a JSON string, in the one form of <see cref="JsonForm"/>: every character above U+007F as itself.
    /// </summary>
    /// <param name="language">Over characters.</param>
    /// <param name="withControls">
    /// True: control characters that have no short escape are written as \u00XX; false: they are left out, which saves half of the
    /// states.
    /// </param>
    public static Language JsonString(Language language, bool withControls) => Rewrite(language, set => JsonCharacters(set, withControls));

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

    private static Language JsonCharacters(CodePointSet set, bool withControls)
    {
        var options = new List<Language> { Utf8(set.Intersect(Escaped.Complement())) };
        foreach ((char character, char letter) in ShortEscapes)
            if (set.Contains(character)) options.Add(Language.Text($"\\{letter}"));
        if (!withControls) return new Language.Choice(options);
        CodePointSet others = Escaped.Intersect(CodePointSet.Of(ShortEscapes.Select(e =>
            ((int)e.Character, (int)e.Character))).Complement());
        foreach ((int first, int last) in set.Intersect(others).Ranges)
            for (int control = first; control <= last; control++) options.Add(Language.Text($"\\u{control:X4}"));
        return new Language.Choice(options);
    }
}
