using System.Globalization;
using System.Text;

namespace DiffusionGemma;

/// <summary>
/// A parser of the regular part of ECMAScript's regular expressions in Unicode mode (ECMA-262, section 22.2.1): everything but look-around,
/// back-references and word boundaries, which are no regular language or need context. Greedy and lazy quantifiers are one language.
/// </summary>
internal sealed class PatternParser
{
    /// <summary>Repetitions beyond this are a mistake more often than a wish, and cost a state each.</summary>
    private const int MostRepetitions = 10_000;

    private const int MostNested = 200;

    private static readonly CodePointSet Digits = CodePointSet.Of(('0', '9'));
    private static readonly CodePointSet WordCharacters = CodePointSet.Of(('0', '9'), ('A', 'Z'), ('_', '_'), ('a', 'z'));
    private static readonly CodePointSet LineTerminators = CodePointSet.OfCharacters("\n\r\u2028\u2029");
    private static readonly CodePointSet Spaces = CodePointSet.OfCharacters("\t\n\v\f\r \u00a0\u1680\u2028\u2029\u202f\u205f\u3000\ufeff")
        .Union(CodePointSet.Of((0x2000, 0x200a)));

    private readonly Rune[] _pattern;
    private readonly bool _isSearch;
    private int _position, _nested;

    private PatternParser(string pattern, bool isSearch)
    {
        _pattern = [.. pattern.EnumerateRunes()];
        _isSearch = isSearch;
    }

    /// <summary>The language of whole texts that a pattern matches, over code points.</summary>
    /// <param name="pattern">The pattern, without delimiters or flags.</param>
    /// <param name="isSearch">Whether a match anywhere in the text counts, as JSON Schema has it; false: the pattern matches the whole
    /// text.</param>
    /// <exception cref="GrammarException">The pattern is malformed, or not regular.</exception>
    public static Language Parse(string pattern, bool isSearch = false)
    {
        UnicodeText.Require(pattern, "The pattern");
        var parser = new PatternParser(pattern, isSearch);
        Language language = parser.Alternatives(isTop: true);
        if (parser._position < parser._pattern.Length) throw parser.Fault("has a ')' without its '('");
        return language;
    }

    private Language Alternatives(bool isTop)
    {
        if (++_nested > MostNested) throw Fault($"is nested more than {MostNested} deep");
        var options = new List<Language>();
        do options.Add(Terms(isTop));
        while (Take('|'));
        _nested--;
        return options.Count == 1 ? options[0] : new Language.Choice(options);
    }

    /// <summary>
    /// Terms up to the next '|', ')' or the end. At the top level an anchor at either end says whether a search may begin or end elsewhere.
    /// </summary>
    private Language Terms(bool isTop)
    {
        var parts = new List<Language>();
        bool startsHere = Take('^'), endsHere = false;
        if (startsHere && !isTop)
            throw Fault("has an anchor inside a group: anchors may only stand at the beginning and the end of the pattern");
        while (_position < _pattern.Length && !At('|') && !At(')'))
        {
            if (At('$'))
            {
                _position++;
                if (!isTop || _position < _pattern.Length && !At('|'))
                    throw Fault("has a '$' before its end: anchors may only stand at the beginning and the end of the pattern");
                endsHere = true;
                break;
            }
            parts.Add(Quantified(Atom()));
        }
        Language anything = new Language.Repeat(new Language.Characters(CodePointSet.All), 0, null);
        if (isTop && _isSearch && !startsHere) parts.Insert(0, anything);
        if (isTop && _isSearch && !endsHere) parts.Add(anything);
        return new Language.Sequence(parts);
    }

    private Language Quantified(Language atom)
    {
        if (_position == _pattern.Length) return atom;
        (int Least, int? Most)? range =
            Take('*') ? (0, null) : Take('+') ? (1, null) : Take('?') ? (0, 1) : At('{') ? Braces() : null;
        if (range is not { } times) return atom;
        if (times.Most < times.Least) throw Fault($"repeats at least {times.Least} and at most {times.Most} times");
        if (Math.Max(times.Least, times.Most ?? 0) > MostRepetitions) throw Fault($"repeats more than {MostRepetitions} times");
        Take('?');                                                                           // lazy: the same language
        if (_position < _pattern.Length && (At('*') || At('+') || At('?') || At('{')))
            throw Fault("repeats a repetition: put it in (?:...)");
        return new Language.Repeat(atom, times.Least, times.Most);
    }

    private (int Least, int? Most) Braces()
    {
        _position++;
        int least = Number();
        int? most = least;
        if (Take(',')) most = At('}') ? null : Number();
        if (!Take('}')) throw Fault("has a '{' that is no {n}, {n,} or {n,m}: write \\{ for the character");
        return (least, most);
    }

    private int Number()
    {
        int value = 0, start = _position;
        while (_position < _pattern.Length && Digits.Contains(_pattern[_position].Value))
            value = Math.Min(value * 10 + _pattern[_position++].Value - '0', MostRepetitions + 1);
        if (_position == start) throw Fault("has a '{' that is no {n}, {n,} or {n,m}: write \\{ for the character");
        return value;
    }

    private Language Atom()
    {
        int character = Next();
        switch (character)
        {
            case '(': return Group();
            case '[': return new Language.Characters(Class());
            case '.': return new Language.Characters(LineTerminators.Complement());
            case '\\': return new Language.Characters(Escape(inClass: false));
            case '^': throw Fault("has a '^' after its beginning: anchors may only stand at the beginning and the end of the pattern");
            case '*' or '+' or '?':
                throw Fault(
                $"has a '{(char)character}' with nothing to repeat: write \\{(char)character} for the character");
            case '{' or '}' or ']': throw Fault($"has a '{(char)character}' by itself: write \\{(char)character} for the character");
            default: return new Language.Characters(CodePointSet.Of((character, character)));
        }
    }

    private Language Group()
    {
        if (Take('?'))
        {
            if (Take('<'))
            {
                if (At('=') || At('!')) throw Fault("looks behind, which is not supported: spell the language without it");
                while (_position < _pattern.Length && !At('>')) _position++;
                if (!Take('>')) throw Fault("has a group name without its '>'");
            }
            else if (At('=') || At('!')) throw Fault("looks ahead, which is not supported: spell the language without it");
            else if (!Take(':')) throw Fault("has a group of an unknown kind: (...), (?:...) and (?<name>...) are read");
        }
        Language inner = Alternatives(isTop: false);
        if (!Take(')')) throw Fault("has a '(' without its ')'");
        return inner;
    }

    private CodePointSet Class()
    {
        bool isNegated = Take('^');
        var set = CodePointSet.None;
        while (!Take(']'))
        {
            (CodePointSet first, int? from) = ClassMember();
            if (!(At('-') && _position + 1 < _pattern.Length && _pattern[_position + 1].Value != ']'))
            {
                set = set.Union(first);
                continue;
            }
            _position++;
            (_, int? to) = ClassMember();
            if (from is null || to is null) throw Fault("has a range in [...] from or to a set of characters");
            if (to < from) throw Fault("has a range in [...] that runs backwards");
            set = set.Union(CodePointSet.Of((from.Value, to.Value)));
        }
        return isNegated ? set.Complement() : set;
    }

    private (CodePointSet Set, int? Single) ClassMember()
    {
        int character = Next();
        CodePointSet set = character == '\\' ? Escape(inClass: true) : CodePointSet.Of((character, character));
        return (set, set.Count == 1 ? set.Ranges[0].First : null);
    }

    private CodePointSet Escape(bool inClass)
    {
        int character = Next();
        switch (character)
        {
            case 'd': return Digits;
            case 'D': return Digits.Complement();
            case 'w': return WordCharacters;
            case 'W': return WordCharacters.Complement();
            case 's': return Spaces;
            case 'S': return Spaces.Complement();
            case 'p' or 'P': return Category(isNegated: character == 'P');
            case 'b' when inClass: return Single('\b');
            case 'b' or 'B':
                throw Fault(
                $"has a word boundary, \\{(char)character}, which is not supported: spell the language without it");
            case 'k': throw Fault("refers back to a group by name, which no regular language can");
            case >= '1' and <= '9': throw Fault("refers back to a group by number, which no regular language can");
            case '0': return Single(0);
            case 'n': return Single('\n');
            case 'r': return Single('\r');
            case 't': return Single('\t');
            case 'f': return Single('\f');
            case 'v': return Single('\v');
            case 'x': return Single(Hex(2));
            case 'u': return Single(CodeUnits());
            case 'c':
                int letter = Next();
                if (!(letter is >= 'a' and <= 'z' or >= 'A' and <= 'Z')) throw Fault("has a \\c without a letter");
                return Single(letter & 31);
            default:
                if (character is >= 'a' and <= 'z' or >= 'A' and <= 'Z') throw Fault($"has an unknown escape, \\{(char)character}");
                return Single(character);
        }
    }

    private static CodePointSet Single(int codePoint) => CodePointSet.Of((codePoint, codePoint));

    /// <summary>\uXXXX (a pair of surrogates too) or \u{X...}, after the u.</summary>
    private int CodeUnits()
    {
        if (Take('{'))
        {
            int value = 0, digits = 0;
            for (; !At('}'); digits++)
            {
                value = value * 16 + HexDigit();
                if (value > CodePointSet.Last) throw Fault("has an escape beyond U+10FFFF");
            }
            _position++;
            if (digits == 0) throw Fault("has an empty \\u{}");
            return Scalar(value);
        }
        int unit = Hex(4);
        if (!char.IsHighSurrogate((char)unit) || !Take('\\') || !Take('u')) return Scalar(unit);
        int low = Hex(4);
        if (!char.IsLowSurrogate((char)low)) throw Fault("has half a pair of surrogates");
        return char.ConvertToUtf32((char)unit, (char)low);
    }

    private int Scalar(int value) => Rune.IsValid(value) ? value : throw Fault("has half a pair of surrogates");

    private int Hex(int digits)
    {
        int value = 0;
        for (int i = 0; i < digits; i++) value = value * 16 + HexDigit();
        return value;
    }

    private int HexDigit()
    {
        int digit = Next();
        return digit < 128 && char.IsAsciiHexDigit((char)digit) ? Convert.ToInt32(((char)digit).ToString(), 16)
            : throw Fault("has an escape with too few hexadecimal digits");
    }

    /// <summary>\p{...} of a general category: L, Lu, Nd, ...; after the p.</summary>
    private CodePointSet Category(bool isNegated)
    {
        var name = new StringBuilder();
        if (!Take('{')) throw Fault("has a \\p without its {category}");
        while (!Take('}')) name.Append((char)Next());
        string[] parts = name.ToString().Split('=');
        string category = parts is ["General_Category" or "gc", var value] ? value : parts[0];
        if (parts.Length > 2 || parts.Length == 2 && category == parts[0] || !IsCategory(category))
            throw Fault($"asks for the property {name}: general categories such as L, Lu, Nd or P are read");
        var ranges = new List<(int, int)>();
        for (int codePoint = 0; codePoint <= CodePointSet.Last; codePoint++)
        {
            int first = codePoint;
            while (codePoint <= CodePointSet.Last && Short(CharUnicodeInfo.GetUnicodeCategory(codePoint)).StartsWith(
                category, StringComparison.Ordinal))
                codePoint++;
            if (codePoint > first) ranges.Add((first, codePoint - 1));
        }
        CodePointSet set = CodePointSet.Of(ranges);
        return isNegated ? set.Complement() : set;
    }

    private static bool IsCategory(string name) => name.Length is 1 or 2 && Enum.GetValues<UnicodeCategory>().Any(
        c => Short(c).StartsWith(name, StringComparison.Ordinal));

    private static string Short(UnicodeCategory category) => category switch
    {
        UnicodeCategory.UppercaseLetter => "Lu",
        UnicodeCategory.LowercaseLetter => "Ll",
        UnicodeCategory.TitlecaseLetter => "Lt",
        UnicodeCategory.ModifierLetter => "Lm",
        UnicodeCategory.OtherLetter => "Lo",
        UnicodeCategory.NonSpacingMark => "Mn",
        UnicodeCategory.SpacingCombiningMark => "Mc",
        UnicodeCategory.EnclosingMark => "Me",
        UnicodeCategory.DecimalDigitNumber => "Nd",
        UnicodeCategory.LetterNumber => "Nl",
        UnicodeCategory.OtherNumber => "No",
        UnicodeCategory.SpaceSeparator => "Zs",
        UnicodeCategory.LineSeparator => "Zl",
        UnicodeCategory.ParagraphSeparator => "Zp",
        UnicodeCategory.Control => "Cc",
        UnicodeCategory.Format => "Cf",
        UnicodeCategory.Surrogate => "Cs",
        UnicodeCategory.PrivateUse => "Co",
        UnicodeCategory.ConnectorPunctuation => "Pc",
        UnicodeCategory.DashPunctuation => "Pd",
        UnicodeCategory.OpenPunctuation => "Ps",
        UnicodeCategory.ClosePunctuation => "Pe",
        UnicodeCategory.InitialQuotePunctuation => "Pi",
        UnicodeCategory.FinalQuotePunctuation => "Pf",
        UnicodeCategory.OtherPunctuation => "Po",
        UnicodeCategory.MathSymbol => "Sm",
        UnicodeCategory.CurrencySymbol => "Sc",
        UnicodeCategory.ModifierSymbol => "Sk",
        UnicodeCategory.OtherSymbol => "So",
        _ => "Cn",
    };

    private int Next() => _position < _pattern.Length ? _pattern[_position++].Value : throw Fault("ends too early");

    private bool At(char character) => _position < _pattern.Length && _pattern[_position].Value == character;

    private bool Take(char character)
    {
        if (!At(character)) return false;
        _position++;
        return true;
    }

    private GrammarException Fault(string fault)
    {
        string pattern = string.Concat(_pattern.Select(rune => rune.ToString()));
        return new GrammarException($"The pattern {pattern} {fault} (at position {_position}).", $"position {_position}");
    }
}
