using System.Globalization;
using System.Numerics;

namespace DiffusionGemma.Jinja;

/// <summary>Python's numbers: int without bounds (long, or BigInteger beyond it) and float, which stay apart.</summary>
internal static class PyNumber
{
    private const int MostBits = 1 << 20;
    private const int MostDigits = 4300;        // Python's own limit on text to int

    public static bool IsNumber(object? value) => value is long or BigInteger or double or bool;

    public static bool IsInteger(object? value) => value is long or BigInteger or bool;

    public static BigInteger ToBig(object? value) => value switch
    {
        long number => number,
        bool flag => flag ? 1 : 0,
        _ => (BigInteger)value!,
    };

    public static double ToDouble(object? value) => value switch
    {
        double number => number,
        long number => number,
        bool flag => flag ? 1 : 0,
        _ => (double)(BigInteger)value!,
    };

    public static object Normalize(BigInteger value) => value >= long.MinValue && value <= long.MaxValue ? (object)(long)value : value;

    /// <summary>An argument that must be an int of a sensible size.</summary>
    public static int ToIndex(object? value, string what) => value switch
    {
        long number => (int)Math.Clamp(number, int.MinValue, int.MaxValue),
        bool flag => flag ? 1 : 0,
        BigInteger number => number.Sign < 0 ? int.MinValue : int.MaxValue,
        Undefined undefined => throw undefined.Fail(),
        _ => throw new TemplateException($"{what} must be an integer, not '{PyType.NameOf(value)}'"),
    };

    public static object Negate(object? value) => value switch
    {
        double number => -number,
        _ when IsInteger(value) => Normalize(-ToBig(value)),
        Undefined undefined => throw undefined.Fail(),
        _ => throw new TemplateException($"bad operand type for unary -: '{PyType.NameOf(value)}'"),
    };

    /// <summary>One of <c>+ - * / // % **</c> on two numbers.</summary>
    public static object Calculate(string sign, object? left, object? right)
    {
        if (left is double || right is double || sign == "/")
            return CalculateFloat(sign, ToDouble(left), ToDouble(right));
        BigInteger a = ToBig(left);
        BigInteger b = ToBig(right);
        switch (sign)
        {
            case "+": return Normalize(a + b);
            case "-": return Normalize(a - b);
            case "*":
                CheckSize(a.GetBitLength() + b.GetBitLength());
                return Normalize(a * b);
            case "//": return Normalize(FloorDivide(a, b));
            case "%": return Normalize(a - (b * FloorDivide(a, b)));
            default: return Power(a, b);
        }
    }

    private static object CalculateFloat(string sign, double a, double b)
    {
        if (b == 0 && sign is "/" or "//" or "%")
            throw new TemplateException("division by zero");
        switch (sign)
        {
            case "+": return a + b;
            case "-": return a - b;
            case "*": return a * b;
            case "/": return a / b;
            case "//": return Math.Floor((a - Modulo(a, b)) / b);
            case "%": return Modulo(a, b);
            default: return Math.Pow(a, b);
        }

        // The remainder has the divisor's sign.
        static double Modulo(double a, double b)
        {
            double remainder = a % b;
            return remainder != 0 && (remainder < 0) != (b < 0) ? remainder + b : remainder;
        }
    }

    private static BigInteger FloorDivide(BigInteger a, BigInteger b)
    {
        if (b.IsZero)
            throw new TemplateException("integer division or modulo by zero");
        BigInteger quotient = BigInteger.DivRem(a, b, out BigInteger remainder);
        return !remainder.IsZero && remainder.Sign != b.Sign ? quotient - 1 : quotient;
    }

    private static object Power(BigInteger a, BigInteger b)
    {
        if (b.Sign < 0)
            return a.IsZero ? throw new TemplateException("0.0 cannot be raised to a negative power") : Math.Pow((double)a, (double)b);
        if (BigInteger.Abs(a) <= 1)
            return Normalize(b.IsZero ? BigInteger.One : a.Sign < 0 && b.IsEven ? BigInteger.One : a);
        if (b > MostBits)
            throw TooLarge();
        CheckSize(a.GetBitLength() * (long)b);
        return Normalize(BigInteger.Pow(a, (int)b));
    }

    private static void CheckSize(long bits)
    {
        if (bits > MostBits)
            throw TooLarge();
    }

    private static TemplateException TooLarge() => new($"the template calculates a number of more than {MostBits:N0} bits");

    /// <summary>float's repr: the shortest digits that read back the same, with Python's choice of notation.</summary>
    public static string Format(double value)
    {
        if (double.IsNaN(value))
            return "nan";
        if (double.IsInfinity(value))
            return value > 0 ? "inf" : "-inf";
        string shortest = value.ToString("R", CultureInfo.InvariantCulture);
        string sign = shortest.StartsWith('-') ? "-" : "";
        if (value == 0)
            return sign + "0.0";
        string digits = ShortestDigits(shortest);
        int exponent = ExponentOf(shortest);
        if (exponent is < -4 or >= 16)
        {
            string mantissa = digits.Length == 1 ? digits : $"{digits[0]}.{digits[1..]}";
            return $"{sign}{mantissa}e{(exponent < 0 ? '-' : '+')}{Math.Abs(exponent):00}";
        }
        if (exponent < 0)
            return $"{sign}0.{new string('0', -exponent - 1)}{digits}";
        string padded = digits.PadRight(exponent + 1, '0');
        string fraction = padded[(exponent + 1)..];
        return $"{sign}{padded[..(exponent + 1)]}.{(fraction.Length == 0 ? "0" : fraction)}";
    }

    /// <summary>int(text), or null where Python would not read it.</summary>
    public static object? TryParseInteger(string text)
    {
        string digits = PyString.Trim(text).Replace("_", "", StringComparison.Ordinal);
        return digits.Length <= MostDigits
            && BigInteger.TryParse(digits, NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out BigInteger value)
            ? Normalize(value) : null;
    }

    /// <summary>float(text), or null where Python would not read it.</summary>
    public static double? TryParseFloat(string text)
    {
        string trimmed = PyString.Trim(text).Replace("_", "", StringComparison.Ordinal);
        switch (trimmed.ToLowerInvariant().TrimStart('+', '-'))
        {
            case "inf" or "infinity": return trimmed[0] == '-' ? double.NegativeInfinity : double.PositiveInfinity;
            case "nan": return double.NaN;
        }
        const NumberStyles Style = NumberStyles.AllowLeadingSign | NumberStyles.AllowDecimalPoint | NumberStyles.AllowExponent;
        return double.TryParse(trimmed, Style, CultureInfo.InvariantCulture, out double value) && trimmed.Length > 0
            && trimmed.AsSpan().ContainsAnyInRange('0', '9')
            ? value : null;
    }

    private static string ShortestDigits(string shortest)
    {
        int end = shortest.IndexOf('E');
        string digits = (end < 0 ? shortest : shortest[..end])
            .Replace(".", "", StringComparison.Ordinal).TrimStart('-').TrimStart('0').TrimEnd('0');
        return digits.Length == 0 ? "0" : digits;
    }

    /// <summary>The power of ten of the first digit.</summary>
    private static int ExponentOf(string shortest)
    {
        int mark = shortest.IndexOf('E');
        int written = mark < 0 ? 0 : int.Parse(shortest.AsSpan(mark + 1), CultureInfo.InvariantCulture);
        string mantissa = (mark < 0 ? shortest : shortest[..mark]).TrimStart('-');
        int point = mantissa.IndexOf('.');
        string whole = point < 0 ? mantissa : mantissa[..point];
        if (whole.TrimStart('0').Length > 0)
            return written + whole.TrimStart('0').Length - 1;
        string fraction = mantissa[(point + 1)..];
        return written - (fraction.Length - fraction.TrimStart('0').Length) - 1;
    }
}
