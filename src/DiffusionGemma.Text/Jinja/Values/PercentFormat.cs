using System.Globalization;
using System.Numerics;
using System.Text;

namespace DiffusionGemma.Jinja;

/// <summary>Python's <c>"%s %05.2f" % values</c>, for s, r, d, i, f and x.</summary>
internal static class PercentFormat
{
    public static string Apply(string format, object? values, Budget budget)
    {
        IReadOnlyList<object?> list = values is PyTuple tuple ? tuple : new PyTuple(values);
        StringBuilder text = new();
        int next = 0;
        for (int at = 0; at < format.Length; at++)
        {
            if (format[at] != '%')
            {
                text.Append(format[at]);
                continue;
            }
            at++;
            if (at < format.Length && format[at] == '%')
            {
                text.Append('%');
                continue;
            }
            object? value = null;
            bool isNamed = at < format.Length && format[at] == '(';
            if (isNamed)
                value = Named(format, ref at, values);
            Specification specification = Specification.Read(format, ref at);
            if (!isNamed)
                value = next < list.Count ? list[next++] : throw new TemplateException("not enough arguments for format string");
            budget.Text(specification.Width);
            text.Append(specification.Format(value, budget));
        }
        if (next < list.Count && values is not PyDict)
            throw new TemplateException("not all arguments converted during string formatting");
        return text.ToString();
    }

    private static object? Named(string format, ref int at, object? values)
    {
        int end = format.IndexOf(')', at);
        if (end < 0 || values is not PyDict dict)
            throw new TemplateException("a format with names requires a mapping");
        string name = format[(at + 1)..end];
        at = end + 1;
        return dict.TryGet(name, out object? value) ? value : throw new TemplateException($"the format's name '{name}' is not given");
    }

    private sealed record Specification(string Flags, int Width, int? Precision, char Kind)
    {
        public static Specification Read(string format, ref int at)
        {
            int start = at;
            while (at < format.Length && "-+ 0#".Contains(format[at]))
                at++;
            string flags = format[start..at];
            int width = ReadNumber(format, ref at) ?? 0;
            int? precision = null;
            if (at < format.Length && format[at] == '.')
            {
                at++;
                precision = ReadNumber(format, ref at) ?? 0;
            }
            return at < format.Length
                ? new Specification(flags, width, precision, format[at]) : throw new TemplateException("incomplete format");
        }

        public string Format(object? value, Budget budget)
        {
            if (value is Undefined undefined && Kind is not ('s' or 'r'))
                throw undefined.Fail();
            bool isNumber = Kind is not ('s' or 'r');
            string text = Kind switch
            {
                's' => Cut(PyText.Str(value, budget)),
                'r' => Cut(PyText.Repr(value, budget)),
                'd' or 'i' => WithSign(
                    Integer(value, allowFloat: true), number => number.ToString(CultureInfo.InvariantCulture).PadLeft(Precision ?? 0, '0')),
                'x' => WithSign(Integer(value, allowFloat: false), number =>
                    number.IsZero ? "0" : number.ToString("x", CultureInfo.InvariantCulture).TrimStart('0')),
                'f' or 'F' => Float(value),
                _ => throw new TemplateException($"unsupported format character '{Kind}'"),
            };
            if (text.Length >= Width)
                return text;
            if (Flags.Contains('-'))
                return text.PadRight(Width);
            if (!isNumber || !Flags.Contains('0'))
                return text.PadLeft(Width);
            int sign = text[0] is '-' or '+' or ' ' ? 1 : 0;
            return text[..sign] + text[sign..].PadLeft(Width - sign, '0');
        }

        private static int? ReadNumber(string format, ref int at)
        {
            int start = at;
            while (at < format.Length && char.IsAsciiDigit(format[at]))
                at++;
            if (at == start)
                return null;
            return int.TryParse(format.AsSpan(start, at - start), CultureInfo.InvariantCulture, out int number) && number <= 1_000_000
                ? number : throw new TemplateException("a width in a format string is too large");
        }

        private string Cut(string text) =>
            Precision is int most && PyString.Length(text) > most ? string.Concat(PyString.Characters(text).Take(most)) : text;

        private BigInteger Integer(object? value, bool allowFloat) => value switch
        {
            double number when allowFloat && double.IsFinite(number) => new BigInteger(number),
            _ when PyNumber.IsInteger(value) => PyNumber.ToBig(value),
            _ => throw new TemplateException($"%{Kind} format: a number is required, not {PyType.NameOf(value)}"),
        };

        private string Float(object? value)
        {
            if (!PyNumber.IsNumber(value))
                throw new TemplateException($"%{Kind} format: a number is required, not {PyType.NameOf(value)}");
            double number = PyNumber.ToDouble(value);
            string digits = double.IsFinite(number)
                ? Math.Abs(number).ToString(
                    "F" + Math.Min(Precision ?? 6, 300).ToString(CultureInfo.InvariantCulture), CultureInfo.InvariantCulture)
                : PyNumber.Format(Math.Abs(number));
            return SignOf(double.IsNegative(number)) + digits;
        }

        private string WithSign(BigInteger value, Func<BigInteger, string> write) => SignOf(value.Sign < 0) + write(BigInteger.Abs(value));

        private string SignOf(bool isNegative) => isNegative ? "-" : Flags.Contains('+') ? "+" : Flags.Contains(' ') ? " " : "";
    }
}
