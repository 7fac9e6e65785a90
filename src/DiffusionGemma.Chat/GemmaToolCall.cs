using System.Globalization;
using System.Text;

namespace DiffusionGemma;

/// <summary>
/// Reads a tool call as Gemma writes it: <c>call:NAME{key:&lt;|"|&gt;text&lt;|"|&gt;,n:1,list:[true,null],map:{a:2}}</c>. Keys are bare or quoted, texts are quoted
/// by a token of their own and know no escapes; JSON's quotes are understood too.
/// </summary>
internal ref struct GemmaToolCall
{
    private const string Quote = "<|\"|>";
    private const int DeepestNesting = 64;

    private ReadOnlySpan<char> _rest;

    /// <exception cref="FormatException">It is no call; the message says what is wrong where.</exception>
    public static (string Name, Dictionary<string, object?> Arguments) Parse(string call)
    {
        var reader = new GemmaToolCall { _rest = call.AsSpan().Trim() };
        if (reader._rest.StartsWith("call:", StringComparison.Ordinal)) reader._rest = reader._rest["call:".Length..];
        int open = reader._rest.IndexOf('{');
        string name = (open < 0 ? reader._rest : reader._rest[..open]).Trim().ToString();
        if (name.Length == 0 || name.AsSpan().ContainsAny("<>\"' \n,:")) throw new FormatException("it has no function name");
        if (open < 0) throw new FormatException($"'{name}' has no arguments in braces");
        reader._rest = reader._rest[open..];
        Dictionary<string, object?> arguments = reader.Map(DeepestNesting);
        reader.SkipSpace();
        return reader._rest.IsEmpty ? (name, arguments) : throw reader.Unexpected("the end");
    }

    private Dictionary<string, object?> Map(int nesting)
    {
        var map = new Dictionary<string, object?>(StringComparer.Ordinal);
        Expect('{');
        while (!TryTake('}'))
        {
            if (map.Count > 0) Expect(',');
            string key = Key();
            Expect(':');
            map[key] = Value(nesting - 1);
        }
        return map;
    }

    private List<object?> Items(int nesting)
    {
        var items = new List<object?>();
        Expect('[');
        while (!TryTake(']'))
        {
            if (items.Count > 0) Expect(',');
            items.Add(Value(nesting - 1));
        }
        return items;
    }

    private object? Value(int nesting)
    {
        if (nesting == 0) throw new FormatException($"its arguments are nested deeper than {DeepestNesting}");
        SkipSpace();
        if (TryText(out string text)) return text;
        if (_rest is ['{', ..]) return Map(nesting);
        if (_rest is ['[', ..]) return Items(nesting);
        string word = Word(",]}");
        return word switch
        {
            "true" => true,
            "false" => false,
            "null" or "None" => null,
            _ when long.TryParse(word, NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out long whole) => whole,
            _ when double.TryParse(word, NumberStyles.Float, CultureInfo.InvariantCulture, out double number) && double.IsFinite(number) => number,
            _ => throw new FormatException($"'{word}' is no value"),
        };
    }

    private string Key()
    {
        SkipSpace();
        if (TryText(out string text)) return text;
        string word = Word(":,]}{[");
        return word.Length > 0 ? word : throw Unexpected("a key");
    }

    private bool TryText(out string text)
    {
        text = "";
        if (_rest.StartsWith(Quote, StringComparison.Ordinal))
        {
            int end = _rest[Quote.Length..].IndexOf(Quote, StringComparison.Ordinal);
            if (end < 0) throw new FormatException("a text does not end");
            text = _rest.Slice(Quote.Length, end).ToString();
            _rest = _rest[((2 * Quote.Length) + end)..];
            return true;
        }
        if (_rest is not ['"', ..]) return false;
        var built = new StringBuilder();
        for (int i = 1; i < _rest.Length; i++)
        {
            if (_rest[i] == '"')
            {
                text = built.ToString();
                _rest = _rest[(i + 1)..];
                return true;
            }
            if (_rest[i] == '\\' && i + 1 < _rest.Length)
                built.Append(_rest[++i] switch { 'n' => '\n', 't' => '\t', 'r' => '\r', var other => other });
            else built.Append(_rest[i]);
        }
        throw new FormatException("a text does not end");
    }

    private string Word(string ends)
    {
        int end = _rest.IndexOfAny(ends);
        if (end < 0) end = _rest.Length;
        string word = _rest[..end].Trim().ToString();
        _rest = _rest[end..];
        return word;
    }

    private bool TryTake(char c)
    {
        SkipSpace();
        if (_rest.IsEmpty || _rest[0] != c) return false;
        _rest = _rest[1..];
        return true;
    }

    private void Expect(char c)
    {
        if (!TryTake(c)) throw Unexpected($"'{c}'");
    }

    private void SkipSpace() => _rest = _rest.TrimStart();

    private readonly FormatException Unexpected(string wanted) =>
        new($"{wanted} is expected {(_rest.IsEmpty ? "where it ends" : $"before '{_rest[..Math.Min(20, _rest.Length)]}'")}");
}
