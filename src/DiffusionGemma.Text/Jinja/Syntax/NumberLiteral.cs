using System.Globalization;
using System.Numerics;

namespace DiffusionGemma.Jinja;

/// <summary>Numbers as Python spells them: 42, 1_000, 0xff, 0b1, 0o7, 1.5, 1e3.</summary>
internal static class NumberLiteral
{
    /// <summary>Finds the end of the number that starts at <paramref name="at"/>.</summary>
    public static int End(string source, int at, bool allowFloat, out bool isFloat)
    {
        isFloat = false;
        if (source[at] == '0' && at + 1 < source.Length && BaseOf(source[at + 1]) is int numberBase)
        {
            int digits = at + 2;
            while (digits < source.Length && (source[digits] == '_' || DigitValue(source[digits]) < numberBase))
                digits++;
            if (digits > at + 2)
                return digits;
        }
        int end = Digits(source, at);
        if (!allowFloat)
            return end;
        if (end + 1 < source.Length && source[end] == '.' && char.IsAsciiDigit(source[end + 1]))
        {
            isFloat = true;
            end = Digits(source, end + 1);
        }
        if (end < source.Length && source[end] is 'e' or 'E')
        {
            int exponent = end + 1;
            if (exponent < source.Length && source[exponent] is '+' or '-')
                exponent++;
            if (exponent < source.Length && char.IsAsciiDigit(source[exponent]))
            {
                isFloat = true;
                end = Digits(source, exponent);
            }
        }
        return end;
    }

    public static object ParseInteger(string text)
    {
        text = text.Replace("_", "", StringComparison.Ordinal);
        if (text.Length > 2 && text[0] == '0' && BaseOf(text[1]) is int numberBase)
        {
            BigInteger value = BigInteger.Zero;
            foreach (char digit in text.AsSpan(2))
                value = (value * numberBase) + DigitValue(digit);
            return PyNumber.Normalize(value);
        }
        if (text.Length > 1 && text[0] == '0' && text.AsSpan().ContainsAnyExcept('0'))
            throw new TemplateException($"leading zeros in '{text}' are not permitted");
        return PyNumber.Normalize(BigInteger.Parse(text, CultureInfo.InvariantCulture));
    }

    public static double ParseFloat(string text) =>
        double.Parse(text.Replace("_", "", StringComparison.Ordinal), CultureInfo.InvariantCulture);

    private static int Digits(string source, int at)
    {
        while (at < source.Length
            && (char.IsAsciiDigit(source[at]) || (source[at] == '_' && at + 1 < source.Length && char.IsAsciiDigit(source[at + 1]))))
            at++;
        return at;
    }

    private static int? BaseOf(char letter) => char.ToLowerInvariant(letter) switch { 'x' => 16, 'o' => 8, 'b' => 2, _ => null };

    private static int DigitValue(char digit) => char.IsAsciiHexDigit(digit) ? Convert.ToInt32(digit.ToString(), 16) : int.MaxValue;
}
