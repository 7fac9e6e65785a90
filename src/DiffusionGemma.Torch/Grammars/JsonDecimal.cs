using System.Globalization;
using System.Numerics;

namespace DiffusionGemma;

/// <summary>Numbers of a schema: read exactly or not at all, and written in the one form, without an exponent.</summary>
internal static class JsonDecimal
{
    /// <summary>Digits that a value of an enum or const may have, with the zeros that its exponent stands for.</summary>
    public const int MostDigits = 400;

    /// <summary>Reads a JSON number that a decimal holds exactly.</summary>
    public static bool TryRead(string json, out decimal value)
    {
        value = 0;
        return Write(json) is { } text
            && decimal.TryParse(
                text, NumberStyles.AllowLeadingSign | NumberStyles.AllowDecimalPoint, CultureInfo.InvariantCulture, out value)
            && value.ToString(CultureInfo.InvariantCulture) == text;
    }

    /// <summary>Writes a JSON number without an exponent, leading zeros or trailing ones after the point; null where it is too
    /// long.</summary>
    public static string? Write(string json)
    {
        int exponentAt = json.IndexOfAny(['e', 'E']);
        string mantissa = exponentAt < 0 ? json : json[..exponentAt];
        BigInteger exponent = exponentAt < 0 ? 0 : BigInteger.Parse(json[(exponentAt + 1)..], NumberStyles.AllowLeadingSign,
            CultureInfo.InvariantCulture);
        bool isNegative = mantissa.StartsWith('-');
        string[] parts = mantissa.TrimStart('-').Split('.');
        string digits = (parts[0] + (parts.Length > 1 ? parts[1] : "")).TrimStart('0');
        exponent -= parts.Length > 1 ? parts[1].Length : 0;
        int zeros = digits.Length - digits.TrimEnd('0').Length;
        (digits, exponent) = (digits[..^zeros], exponent + zeros);
        if (digits.Length == 0) return "0";
        if (digits.Length + BigInteger.Abs(exponent) > MostDigits) return null;
        int shift = (int)exponent, point = digits.Length + shift;
        string text = shift >= 0 ? digits + new string('0', shift)
            : point > 0 ? $"{digits[..point]}.{digits[point..]}"
            : $"0.{new string('0', -point)}{digits}";
        return isNegative ? $"-{text}" : text;
    }
}
