using System.Globalization;
using System.Numerics;

namespace DiffusionGemma;

/// <summary>Reads the number of an answer, whole or not at all, as a key that is the same for every way of writing one number.</summary>
/// <remarks>
/// <code>
/// written                               read as      rule
/// #### 72    ####72    ####: 72         72           after the last '####', a colon, white space or line breaks
/// #### **72**    #### `72`              72           markdown emphasis around it
/// #### 72 apples    #### 72.            72           white space, or punctuation that ends a sentence, ends a number
/// #### +5    #### -5    #### −5         5, -5, -5    a sign, U+2212 included
/// #### $5    #### € 5    #### -5 €      5, 5, -5     a currency sign before or after it
/// #### 1,234    #### 1 234 567          1234, ...    groups of three by comma or by spaces of one kind (no-break and thin ones too)
/// #### 1.50    #### .5    #### 2e3      1.5, 0.5, 2000
/// #### 1/2    #### 1/3                  0.5, 1/3     a fraction of whole or decimal numbers
/// #### 72a   1,23   1.2.3   1 2/3       nothing      a letter, a second separator or another number touches it
/// #### 5%   5 %   2 × 10^3   5 - 3      nothing      a percent sign, or an operator and another number, follows it
/// </code>
/// </remarks>
internal static class AnswerNumber
{
    private const string Marker = "####";
    private const string Closers = "*_`)]\"”";
    private const string SentenceEnds = ".,;:!?…。！？";
    private const string Operators = "+-\u2212–*/:×÷·^=≈<>≤≥";
    private const string PercentSigns = "%‰‱٪％";
    private const char MinusSign = '\u2212';
    private const int MostDigits = 1000, MostExponentDigits = 9;

    /// <summary>Reads the number after the last marker that one follows.</summary>
    /// <param name="text">The answer, or the expected text.</param>
    /// <param name="mayStandAlone">Without a marker the whole text is read as a number.</param>
    /// <returns>The key; null where there is no number, or something else touches it.</returns>
    public static string? Read(string text, bool mayStandAlone)
    {
        for (int before = text.Length, at; (at = text.AsSpan(0, before).LastIndexOf(Marker)) >= 0; before = at + Marker.Length - 1)
        {
            int start = SkipOpening(text, at + Marker.Length);
            if (BeginsNumber(text, start))
                return ReadAt(text, start, out _);
        }
        if (!mayStandAlone || text.Contains(Marker, StringComparison.Ordinal))
            return null;
        string? key = ReadAt(text, SkipOpening(text, 0), out int end);
        return string.IsNullOrWhiteSpace(text[end..]) ? key : null;
    }

    private static int SkipOpening(string text, int at)
    {
        while (at < text.Length && (char.IsWhiteSpace(text[at]) || text[at] is '#' or ':' or '*' or '_' or '`'))
            at++;
        return at;
    }

    private static bool BeginsNumber(string text, int at)
    {
        while (at < text.Length && (IsSign(text[at]) || IsCurrency(text[at])))
            at = IsCurrency(text[at]) ? SkipSpaces(text, at + 1) : at + 1;
        if (At(text, at) == '.')
            at++;
        return char.IsAsciiDigit(At(text, at));
    }

    private static string? ReadAt(string text, int at, out int end)
    {
        end = at;
        bool isNegative = false, hasSign = false, hasCurrency = false;
        while (IsSign(At(text, end)) && !hasSign || IsCurrency(At(text, end)) && !hasCurrency)
        {
            bool isCurrency = IsCurrency(text[end]);
            hasSign |= !isCurrency;
            hasCurrency |= isCurrency;
            isNegative |= text[end] is '-' or MinusSign;
            end = isCurrency ? SkipSpaces(text, end + 1) : end + 1;
        }
        if (ReadDecimal(text, ref end) is not var (digits, exponent))
            return null;
        int fraction = SkipSpaces(text, end);
        BigInteger divisor = BigInteger.One;
        if (At(text, fraction) == '/' && char.IsAsciiDigit(At(text, SkipSpaces(text, fraction + 1))))
        {
            end = SkipSpaces(text, fraction + 1);
            if (ReadDecimal(text, ref end) is not var (lower, scale) || lower.IsZero)
                return null;
            divisor = lower;
            exponent -= scale;
        }
        else if (At(text, end) is 'e' or 'E' && !TryReadExponent(text, ref end, ref exponent))
        {
            return null;
        }
        return EndsNumber(text, ref end) ? Key(isNegative ? -digits : digits, divisor, exponent) : null;
    }

    /// <summary>Reads digits with separators of one kind between groups of three, and a decimal part.</summary>
    private static (BigInteger Digits, int Exponent)? ReadDecimal(string text, ref int at)
    {
        int start = at;
        string digits = Digits(text, ref at);
        char separator = At(text, at);
        if ((separator == ',' || IsSpace(separator)) && digits.Length is >= 1 and <= 3 && digits[0] != '0')
        {
            while (At(text, at) == separator && IsGroup(text, at + 1))
            {
                digits += text.Substring(at + 1, 3);
                at += 4;
            }
        }
        int whole = digits.Length;
        if (At(text, at) == '.' && char.IsAsciiDigit(At(text, at + 1)))
        {
            at++;
            digits += Digits(text, ref at);
        }
        return digits.Length == 0 || at - start > MostDigits
            ? null
            : (BigInteger.Parse(digits, CultureInfo.InvariantCulture), whole - digits.Length);
    }

    private static bool IsGroup(string text, int at) =>
        char.IsAsciiDigit(At(text, at)) && char.IsAsciiDigit(At(text, at + 1)) && char.IsAsciiDigit(At(text, at + 2))
        && !char.IsAsciiDigit(At(text, at + 3));

    private static string Digits(string text, ref int at)
    {
        int start = at;
        while (char.IsAsciiDigit(At(text, at)))
            at++;
        return text[start..at];
    }

    private static bool TryReadExponent(string text, ref int at, ref int exponent)
    {
        at++;
        char sign = At(text, at);
        if (IsSign(sign))
            at++;
        string digits = Digits(text, ref at);
        if (digits.Length is 0 or > MostExponentDigits)
            return false;
        int value = int.Parse(digits, CultureInfo.InvariantCulture);
        exponent += sign is '-' or MinusSign ? -value : value;
        return true;
    }

    /// <summary>Moves past what may follow a number; false where something else touches it.</summary>
    private static bool EndsNumber(string text, ref int end)
    {
        int currency = SkipSpaces(text, end);
        if (IsCurrency(At(text, currency)))
            end = currency + 1;
        SkipClosers(text, ref end);
        char last = '\0';
        if (end < text.Length && SentenceEnds.Contains(text[end]))
        {
            last = text[end++];
            SkipClosers(text, ref end);
        }
        if (end == text.Length)
            return true;
        if (!char.IsWhiteSpace(text[end]))
            return false;
        return last is not ('\0' or ',' or ';') || !GoesOn(text, SkipSpaces(text, end), isInSentence: last != '\0');
    }

    /// <summary>
    /// True where what follows a number in the same sentence and line makes it a part of something else: another number (1 2/3, 12 5,
    /// 3, 4), a percent sign, or an operator and another number (2 × 10^3, 5 - 3).
    /// </summary>
    private static bool GoesOn(string text, int at, bool isInSentence)
    {
        char next = At(text, at);
        if (char.IsNumber(next))
            return true;
        if (isInSentence)
            return false;
        if (PercentSigns.Contains(next))
            return true;
        int behind = at;
        while (behind < text.Length && Operators.Contains(text[behind]))
            behind++;
        if (behind == at && next is 'x' or 'X' && char.IsWhiteSpace(At(text, at + 1)))
            behind++;
        return behind > at && BeginsNumber(text, SkipSpaces(text, behind));
    }

    private static void SkipClosers(string text, ref int at)
    {
        while (at < text.Length && Closers.Contains(text[at]))
            at++;
    }

    private static int SkipSpaces(string text, int at)
    {
        while (At(text, at) == '\t' || IsSpace(At(text, at)))
            at++;
        return at;
    }

    private static char At(string text, int at) => at < text.Length ? text[at] : '\0';

    /// <summary>True for a space of any width; false for a tab or a line break.</summary>
    private static bool IsSpace(char c) => char.GetUnicodeCategory(c) == UnicodeCategory.SpaceSeparator;

    private static bool IsSign(char c) => c is '+' or '-' or MinusSign;

    private static bool IsCurrency(char c) => char.GetUnicodeCategory(c) == UnicodeCategory.CurrencySymbol;

    /// <summary>Writes digits / divisor · 10^exponent in lowest terms: as a decimal number where it is one, else as a fraction.</summary>
    private static string Key(BigInteger digits, BigInteger divisor, int exponent)
    {
        if (digits.IsZero)
            return "0";
        BigInteger common = BigInteger.GreatestCommonDivisor(digits, divisor);
        (digits, divisor) = (digits / common, divisor / common);
        // 1/2 = 5 · 10^-1, 1/5 = 2 · 10^-1.
        while (divisor.IsEven || divisor % 5 == 0)
        {
            (digits, divisor) = divisor.IsEven ? (digits * 5, divisor / 2) : (digits * 2, divisor / 5);
            exponent--;
        }
        while (digits % 10 == 0)
        {
            digits /= 10;
            exponent++;
        }
        string number = Decimal(digits, exponent);
        return divisor.IsOne ? number : string.Create(CultureInfo.InvariantCulture, $"{number}/{divisor}");
    }

    private static string Decimal(BigInteger digits, int exponent)
    {
        const int MostZeros = 30;
        string text = BigInteger.Abs(digits).ToString(CultureInfo.InvariantCulture), sign = digits.Sign < 0 ? "-" : "";
        int point = text.Length + exponent;                         // digits before the point
        if (exponent > MostZeros || point < -MostZeros)
            return string.Create(CultureInfo.InvariantCulture, $"{sign}{text}e{exponent}");
        return sign + (exponent >= 0 ? text + new string('0', exponent)
            : point > 0 ? $"{text[..point]}.{text[point..]}"
            : $"0.{new string('0', -point)}{text}");
    }
}
