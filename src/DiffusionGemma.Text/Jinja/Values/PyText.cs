using System.Globalization;
using System.Numerics;
using System.Text;

namespace DiffusionGemma.Jinja;

/// <summary>str() and repr(): what a value prints as.</summary>
internal static class PyText
{
    public static string Str(object? value, Budget budget) => value switch
    {
        string text => text,
        Undefined => "",
        _ => Repr(value, budget),
    };

    public static string Repr(object? value, Budget budget)
    {
        StringBuilder text = new();
        Write(value, text, budget);
        return text.ToString();
    }

    private static void Write(object? value, StringBuilder text, Budget budget)
    {
        Budget.CheckStack();
        budget.Step();
        if (text.Length > Budget.LongestText)
            budget.Text(text.Length);
        if (value is null or bool or string or PyList or PyTuple or PyDict)
            budget.NotePrinted(value);
        switch (value)
        {
            case null: text.Append("None"); break;
            case bool flag: text.Append(flag ? "True" : "False"); break;
            case long number: text.Append(number.ToString(CultureInfo.InvariantCulture)); break;
            case BigInteger number: text.Append(number.ToString(CultureInfo.InvariantCulture)); break;
            case double number: text.Append(PyNumber.Format(number)); break;
            case string quoted: Quote(quoted, text); break;
            case Undefined: text.Append("Undefined"); break;
            case PyRange range: text.Append(range.ToString()); break;
            case PyTuple tuple:
                WriteItems(tuple, "(", tuple.Count == 1 ? ",)" : ")", text, budget);
                break;
            case PySequence list:
                WriteItems(list, "[", "]", text, budget);
                break;
            case PyDictView view:
                text.Append(view.Name);
                WriteItems(view, "([", "])", text, budget);
                break;
            case PyDict dict:
                WriteDict(dict, text, budget);
                break;
            case PyNamespace space:
                text.Append("<Namespace ");
                WriteDict(space.Attributes, text, budget);
                text.Append('>');
                break;
            case PyFunction { Macro: not null } macro:
                text.Append("<Macro ");
                Quote(macro.Name, text);
                text.Append('>');
                break;
            default:
                throw new TemplateException(
                    $"a {PyType.NameOf(value)} cannot be printed (of a filter's result, print it through the filter list)");
        }
    }

    private static void WriteItems(IEnumerable<object?> items, string open, string close, StringBuilder text, Budget budget)
    {
        text.Append(open);
        bool isFirst = true;
        foreach (object? item in items)
        {
            if (!isFirst)
                text.Append(", ");
            isFirst = false;
            Write(item, text, budget);
        }
        text.Append(close);
    }

    private static void WriteDict(PyDict dict, StringBuilder text, Budget budget)
    {
        text.Append('{');
        bool isFirst = true;
        foreach ((object? key, object? value) in dict)
        {
            if (!isFirst)
                text.Append(", ");
            isFirst = false;
            Write(key, text, budget);
            text.Append(": ");
            Write(value, text, budget);
        }
        text.Append('}');
    }

    private static void Quote(string value, StringBuilder text)
    {
        char quote = value.Contains('\'') && !value.Contains('"') ? '"' : '\'';
        text.Append(quote);
        foreach (Rune rune in value.EnumerateRunes())
        {
            switch (rune.Value)
            {
                case '\n': text.Append("\\n"); break;
                case '\r': text.Append("\\r"); break;
                case '\t': text.Append("\\t"); break;
                case '\\': text.Append("\\\\"); break;
                case int character when character == quote: text.Append('\\').Append(quote); break;
                case int when PyString.IsPrintable(rune): text.Append(rune.ToString()); break;
                case < 0x100: text.Append(CultureInfo.InvariantCulture, $"\\x{rune.Value:x2}"); break;
                case < 0x10000: text.Append(CultureInfo.InvariantCulture, $"\\u{rune.Value:x4}"); break;
                default: text.Append(CultureInfo.InvariantCulture, $"\\U{rune.Value:x8}"); break;
            }
        }
        text.Append(quote);
    }
}
