using System.Globalization;
using System.Numerics;
using System.Text.RegularExpressions;

namespace DiffusionGemma;

/// <summary>
/// Values of scalars as NeMo AutoModel sees them: PyYAML's types, and behind them Python's literals for texts, so that 1e-5, which is a
/// text to PyYAML, is a number, and "none" is nothing.
/// </summary>
internal static partial class RecipeScalar
{
    private const int LongestNumber = 64;

    private static readonly string[] True = ["yes", "Yes", "YES", "true", "True", "TRUE", "on", "On", "ON"];
    private static readonly string[] False = ["no", "No", "NO", "false", "False", "FALSE", "off", "Off", "OFF"];

    /// <summary>True for what stands for nothing.</summary>
    public static bool IsNull(RecipeNode node) => node.Kind == RecipeNodeKind.Scalar
        && (node.Text is "none" or "None" || node.IsPlain && node.Text is "" or "~" or "null" or "Null" or "NULL");

    public static bool? ToBoolean(RecipeNode node)
    {
        // In quotes only Python's own spellings, and those that AutoModel translates.
        bool isLiteral = node.IsPlain || node.Text is "true" or "True" or "false" or "False";
        if (isLiteral && True.Contains(node.Text)) return true;
        return isLiteral && False.Contains(node.Text) ? false : null;
    }

    /// <summary>A whole number; 0x10, 0b1, 0o17, 017 and 1_000 too.</summary>
    public static BigInteger? ToInteger(string text)
    {
        if (text.Length > LongestNumber) return null;
        Match match = Whole().Match(text);
        if (!match.Success) return null;
        string digits = match.Groups["digits"].Value.Replace("_", "", StringComparison.Ordinal);
        int radix = match.Groups["prefix"].Value.ToLowerInvariant() switch { "0x" => 16, "0b" => 2, "0o" or "0" => 8, _ => 10 };
        BigInteger value = 0;
        foreach (char digit in digits)
        {
            int number = Convert.ToInt32(digit.ToString(), 16);
            if (number >= radix) return null;
            value = value * radix + number;
        }
        return match.Groups["sign"].Value == "-" ? -value : value;
    }

    /// <summary>A number: 1e-5, 1.5e-4, .5, 8, .inf.</summary>
    public static double? ToDouble(string text)
    {
        if (text.Length > LongestNumber) return null;
        if (ToInteger(text) is { } whole) return (double)whole;
        if (Decimal().IsMatch(text))
            return double.Parse(text.Replace("_", "", StringComparison.Ordinal), NumberStyles.Float, CultureInfo.InvariantCulture);
        return text.ToLowerInvariant() switch
        {
            ".inf" or "+.inf" => double.PositiveInfinity,
            "-.inf" => double.NegativeInfinity,
            ".nan" => double.NaN,
            _ => null,
        };
    }

    [GeneratedRegex(@"^(?<sign>[-+]?)(?<prefix>0[xX]|0[bB]|0[oO]|0(?=[0-9_]))?(?<digits>[0-9a-fA-F][0-9a-fA-F_]*)\z")]
    private static partial Regex Whole();

    [GeneratedRegex(@"^[-+]?([0-9][0-9_]*(\.[0-9_]*)?|\.[0-9][0-9_]*)([eE][-+]?[0-9]+)?\z")]
    private static partial Regex Decimal();
}
