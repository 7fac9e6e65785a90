using System.Globalization;
using System.Text;

namespace DiffusionGemma.Jinja;

/// <summary>json.dumps as transformers gives it to templates.</summary>
internal sealed class PyJson(bool asciiOnly, string? indent, string itemSeparator, string keySeparator, bool sortKeys, Budget budget)
{
    private readonly StringBuilder _text = new();

    public string Write(object? value)
    {
        Write(value, depth: 0);
        return _text.ToString();
    }

    private void Write(object? value, int depth)
    {
        Budget.CheckStack();
        budget.Step();
        if (_text.Length > Budget.LongestText)
            budget.Text(_text.Length);
        switch (value)
        {
            case null: _text.Append("null"); break;
            case bool flag: _text.Append(flag ? "true" : "false"); break;
            case double number: _text.Append(FloatText(number)); break;
            case string text: Quote(text); break;
            case PyList or PyTuple: WriteList((PySequence)value, depth); break;
            case PyDict dict: WriteDict(dict, depth); break;
            case not null when PyNumber.IsInteger(value): _text.Append(PyText.Repr(value, budget)); break;
            default: throw new TemplateException($"Object of type {PyType.NameOf(value)} is not JSON serializable");
        }
    }

    private void WriteList(PySequence list, int depth)
    {
        if (list.Count == 0)
        {
            _text.Append("[]");
            return;
        }
        _text.Append('[');
        for (int i = 0; i < list.Count; i++)
        {
            StartItem(i, depth + 1);
            Write(list[i], depth + 1);
        }
        NewLine(depth);
        _text.Append(']');
    }

    private void WriteDict(PyDict dict, int depth)
    {
        if (dict.Count == 0)
        {
            _text.Append("{}");
            return;
        }
        IEnumerable<KeyValuePair<object?, object?>> items = sortKeys ? PySort.By(dict, item => item.Key, reverse: false, budget) : dict;
        _text.Append('{');
        int count = 0;
        foreach ((object? key, object? value) in items)
        {
            StartItem(count++, depth + 1);
            Quote(KeyText(key));
            _text.Append(keySeparator);
            Write(value, depth + 1);
        }
        NewLine(depth);
        _text.Append('}');
    }

    private void StartItem(int index, int depth)
    {
        if (index > 0)
            _text.Append(itemSeparator);
        NewLine(depth);
    }

    private void NewLine(int depth)
    {
        if (indent is null)
            return;
        _text.Append('\n');
        for (int i = 0; i < depth; i++)
            _text.Append(indent);
    }

    private string KeyText(object? key) => key switch
    {
        string text => text,
        null => "null",
        bool flag => flag ? "true" : "false",
        double number => FloatText(number),
        _ when PyNumber.IsInteger(key) => PyText.Repr(key, budget),
        _ => throw new TemplateException($"keys must be str, int, float, bool or None, not {PyType.NameOf(key)}"),
    };

    private static string FloatText(double number) =>
        double.IsNaN(number) ? "NaN" : double.IsInfinity(number) ? (number > 0 ? "Infinity" : "-Infinity") : PyNumber.Format(number);

    private void Quote(string text)
    {
        budget.Text(text.Length);
        _text.Append('"');
        foreach (char unit in text)
        {
            switch (unit)
            {
                case '"': _text.Append("\\\""); break;
                case '\\': _text.Append("\\\\"); break;
                case '\n': _text.Append("\\n"); break;
                case '\r': _text.Append("\\r"); break;
                case '\t': _text.Append("\\t"); break;
                case '\b': _text.Append("\\b"); break;
                case '\f': _text.Append("\\f"); break;
                case < ' ': Escape(unit); break;
                case > '~' when asciiOnly: Escape(unit); break;
                default: _text.Append(unit); break;
            }
        }
        _text.Append('"');
    }

    private void Escape(char unit) => _text.Append(CultureInfo.InvariantCulture, $"\\u{(int)unit:x4}");
}
