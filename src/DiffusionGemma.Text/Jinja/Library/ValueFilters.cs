using System.Numerics;

namespace DiffusionGemma.Jinja;

/// <summary>Filters of any value: default, numbers, tojson.</summary>
internal static class ValueFilters
{
    public static Dictionary<string, Filter> All { get; } = new(StringComparer.Ordinal)
    {
        ["default"] = Default,
        ["d"] = Default,
        ["length"] = Length,
        ["count"] = Length,
        ["items"] = (_, value, _) => value switch
        {
            Undefined => new PyIterator([]),
            PyDict dict => new PyIterator(PyDictView.PairsOf(dict)),
            _ => throw new TemplateException("Can only get item pairs from a mapping."),
        },
        ["attr"] = (_, value, arguments) => Attr(value, arguments.Bind("attr", 1, "name")[0]),
        ["abs"] = (_, value, _) => Abs(value),
        ["int"] = (_, value, arguments) => Int(value, arguments.Bind("int", 0, "default", "base")),
        ["float"] = (_, value, arguments) => Float(value, arguments.Bind("float", 0, "default")),
        ["round"] = (_, value, arguments) => Round(value, arguments.Bind("round", 0, "precision", "method")),
        ["tojson"] = ToJson,
    };

    private static object? Default(Interpreter interpreter, object? value, Arguments arguments)
    {
        object?[] given = arguments.Bind("default", 0, "default_value", "boolean");
        bool isWanted = value is Undefined || (given[1] != Arguments.Missing && PyType.IsTrue(given[1]) && !PyType.IsTrue(value));
        return !isWanted ? value : given[0] == Arguments.Missing ? "" : given[0];
    }

    private static object Length(Interpreter interpreter, object? value, Arguments arguments) =>
        PyType.LengthOf(value) ?? throw new TemplateException($"object of type '{PyType.NameOf(value)}' has no len()");

    /// <summary>An attribute alone: a dict's keys are not looked at.</summary>
    private static object? Attr(object? value, object? name) => name is not string text
        ? throw new TemplateException("attr needs a name")
        : value is PyDict dict ? DictMethods.Find(dict, text) ?? Undefined.Attribute(value, text) : PyAttributes.GetAttribute(value, text);

    private static object Abs(object? value) => value switch
    {
        double number => Math.Abs(number),
        _ when PyNumber.IsInteger(value) => PyNumber.Normalize(BigInteger.Abs(PyNumber.ToBig(value))),
        Undefined undefined => throw undefined.Fail(),
        _ => throw new TemplateException($"bad operand type for abs(): '{PyType.NameOf(value)}'"),
    };

    private static object? Int(object? value, object?[] given)
    {
        object? fallback = given[0] == Arguments.Missing ? 0L : given[0];
        if (given[1] != Arguments.Missing && given[1] is not 10L)
            throw new TemplateException("the filter int with a base other than 10 is not supported");
        return value switch
        {
            Undefined undefined => throw undefined.Fail(),
            bool or long or BigInteger => PyNumber.Normalize(PyNumber.ToBig(value)),
            double number => double.IsFinite(number) ? PyNumber.Normalize(new BigInteger(number)) : fallback,
            string text => PyNumber.TryParseInteger(text)
                ?? (PyNumber.TryParseFloat(text) is double number && double.IsFinite(number)
                    ? PyNumber.Normalize(new BigInteger(number)) : fallback),
            _ => fallback,
        };
    }

    private static object? Float(object? value, object?[] given) => value switch
    {
        Undefined undefined => throw undefined.Fail(),
        string text when PyNumber.TryParseFloat(text) is double number => number,
        _ when PyNumber.IsNumber(value) => PyNumber.ToDouble(value),
        _ => given[0] == Arguments.Missing ? 0.0 : given[0],
    };

    private static object Round(object? value, object?[] given)
    {
        int precision = given[0] == Arguments.Missing ? 0 : PyNumber.ToIndex(given[0], "precision");
        string method = given[1] == Arguments.Missing ? "common" : given[1] as string ?? "";
        if (!PyNumber.IsNumber(value))
            throw value is Undefined undefined ? undefined.Fail() : new TemplateException($"type {PyType.NameOf(value)} cannot be rounded");
        if (precision is < 0 or > 15)
            throw new TemplateException("the filter round is supported with a precision from 0 to 15");
        if (method == "common")
            return value is double number ? RoundHalfEven(number, precision) : PyNumber.Normalize(PyNumber.ToBig(value));
        double power = Math.Pow(10, precision);
        double scaled = PyNumber.ToDouble(value) * power;
        return method switch
        {
            "ceil" => Math.Ceiling(scaled) / power,
            "floor" => Math.Floor(scaled) / power,
            _ => throw new TemplateException("method must be common, ceil or floor"),
        };
    }

    /// <summary>Rounds the exact binary value, as Python does: 2.675 is a little less than it looks.</summary>
    private static double RoundHalfEven(double number, int precision)
    {
        if (precision == 0 || !double.IsFinite(number))
            return Math.Round(number, MidpointRounding.ToEven);
        string exact = number.ToString("F" + precision, System.Globalization.CultureInfo.InvariantCulture);
        return double.Parse(exact, System.Globalization.CultureInfo.InvariantCulture);
    }

    private static string ToJson(Interpreter interpreter, object? value, Arguments arguments)
    {
        object?[] given = arguments.Bind("tojson", 0, "ensure_ascii", "indent", "separators", "sort_keys");
        string? indent = given[1] switch
        {
            null => null,
            string text => text,
            var missing when missing == Arguments.Missing => null,
            var width => Indentation(PyNumber.ToIndex(width, "indent")),
        };
        (string item, string key) = given[2] switch
        {
            PySequence { Count: 2 } pair when pair[0] is string first && pair[1] is string second => (first, second),
            var none when none is null || none == Arguments.Missing => (indent is null ? ", " : ",", ": "),
            _ => throw new TemplateException("separators must be a pair of texts"),
        };
        return new PyJson(IsSet(given[0]), indent, item, key, IsSet(given[3]), interpreter.Budget).Write(value);

        static bool IsSet(object? argument) => argument != Arguments.Missing && PyType.IsTrue(argument);

        static string Indentation(int width) =>
            width <= 1000 ? new string(' ', Math.Max(0, width)) : throw new TemplateException(
                "an indent of more than 1000 is not supported");
    }
}
