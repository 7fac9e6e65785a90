using System.Globalization;
using System.Text;

namespace DiffusionGemma.Jinja;

/// <summary>Quoted text with Python's escapes.</summary>
internal static class StringLiteral
{
    public static string Read(string source, int start, out int end)
    {
        char quote = source[start];
        StringBuilder text = new();
        int at = start + 1;
        while (at < source.Length && source[at] != quote)
        {
            if (source[at] == '\\' && at + 1 < source.Length)
                at = ReadEscape(source, at, text);
            else
                text.Append(source[at++]);
        }
        if (at >= source.Length)
            throw new TemplateException($"a text that starts with {quote} is not closed");
        end = at + 1;
        return text.ToString();
    }

    private static int ReadEscape(string source, int at, StringBuilder text)
    {
        char kind = source[at + 1];
        switch (kind)
        {
            case '\n': return at + 2;
            case '\\' or '\'' or '"': text.Append(kind); return at + 2;
            case 'n': text.Append('\n'); return at + 2;
            case 't': text.Append('\t'); return at + 2;
            case 'r': text.Append('\r'); return at + 2;
            case 'a': text.Append('\a'); return at + 2;
            case 'b': text.Append('\b'); return at + 2;
            case 'f': text.Append('\f'); return at + 2;
            case 'v': text.Append('\v'); return at + 2;
            case 'x': return ReadCodePoint(source, at, 2, text);
            case 'u': return ReadCodePoint(source, at, 4, text);
            case 'U': return ReadCodePoint(source, at, 8, text);
            case 'N': throw new TemplateException("the escape \\N{...} is not supported");
            case >= '0' and <= '7': return ReadOctal(source, at + 1, text);
            default: text.Append('\\').Append(kind); return at + 2;     // Python keeps what it doesn't know
        }
    }

    private static int ReadCodePoint(string source, int at, int digits, StringBuilder text)
    {
        if (at + 2 + digits > source.Length
            || !uint.TryParse(source.AsSpan(at + 2, digits), NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture, out uint value)
            || value > 0x10FFFF)
            throw new TemplateException($"truncated or illegal \\{source[at + 1]} escape");
        // Half a surrogate pair is legal in Python's text; the other half may follow.
        text.Append(value is >= 0xD800 and <= 0xDFFF ? ((char)value).ToString() : new Rune(value).ToString());
        return at + 2 + digits;
    }

    private static int ReadOctal(string source, int at, StringBuilder text)
    {
        int value = 0;
        int end = at;
        while (end < source.Length && end < at + 3 && source[end] is >= '0' and <= '7')
            value = (value * 8) + (source[end++] - '0');
        text.Append((char)value);
        return end;
    }
}
