using System.Buffers;
using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;

namespace DiffusionGemma;

/// <summary>
/// Reads the text between <c>&lt;|tool_call></c> and <c>&lt;tool_call|></c>, as Gemma 4's chat template writes calls:
/// <code>
/// calls   = call { [","] call }
/// call    = "call:" name object
/// object  = "{" [ key ":" value { "," key ":" value } ] "}"  |  "{" object "}"
/// value   = text | object | "[" [ value { "," value } ] "]" | "true" | "false" | "null" | number
/// text    = quote ... quote                          quote: the token &lt;|"|>; nothing is escaped in between
/// </code>
/// A key is bare, or a text. Forms that models also write are understood: doubled braces, braces too many at the end, a comma at the end of
/// an object, texts in double quotes (as in JSON) or single quotes (as in Python), None for null, True and False, bare words as texts; a
/// call without "call:" or without arguments, in parentheses with "=" as in Python, or as JSON with name and arguments (<see
/// cref="JsonToolCalls"/>). Space between the parts is ignored; of equal keys the last counts.
/// </summary>
internal ref struct ToolCallReader
{
    private const int DeepestNesting = 64;
    private static readonly SearchValues<char> KeyEnds = SearchValues.Create("{}[],:=\"<\n()");
    private static readonly SearchValues<char> ValueEnds = SearchValues.Create("{}[],\"<\n");
    private static readonly SearchValues<char> ValueEndsInParentheses = SearchValues.Create("{}[],\"<\n()");
    private static readonly SearchValues<char> NoName = SearchValues.Create("{}[],\"<\n()=");
    private readonly ReadOnlySpan<char> _text;
    private readonly bool _isClosed;
    private int _at;
    private bool _isInParentheses;

    private ToolCallReader(ReadOnlySpan<char> text, bool isClosed)
    {
        _text = text;
        _isClosed = isClosed;
    }

    /// <summary>Reads all calls of one block.</summary>
    /// <param name="text">The block without the control tokens around it.</param>
    /// <param name="isClosed">True if the token that closes the block follows: a name alone is a call then, and not the beginning of
    /// one.</param>
    /// <exception cref="FormatException">The text is no such call; the message says what is wrong.</exception>
    public static List<AnswerToolCall> Read(string text, bool isClosed = true)
    {
        if (JsonToolCalls.TryRead(text) is { } written) return written;
        var reader = new ToolCallReader(text, isClosed);
        List<AnswerToolCall> calls = [];
        do
        {
            calls.Add(reader.ReadCall());
            while (reader.TryTake("}"))
            {
            }
            reader.TryTake(",");
        }
        while (!reader.IsAtEnd());
        return calls;
    }

    private AnswerToolCall ReadCall()
    {
        bool isNamed = TryTake("call:");
        int open = _text[_at..].IndexOfAny('{', '(');
        if (open < 0 && !isNamed) throw new FormatException($"'call:' is missing at '{Excerpt()}'");
        if (open < 0 && !_isClosed) throw new FormatException("the call has no end");
        string name = (open < 0 ? _text[_at..] : _text.Slice(_at, open)).Trim().ToString();
        if (name.Length == 0 || name.AsSpan().ContainsAny(NoName) || name.Any(char.IsWhiteSpace))
            throw new FormatException("no name of a function and '{' follow 'call:'");
        _at = open < 0 ? _text.Length : _at + open;
        _isInParentheses = open >= 0 && _text[_at] == '(';
        JsonObject arguments = open < 0 ? [] : _isInParentheses ? ReadObject(0, "(", ")") : ReadObject(0);
        _isInParentheses = false;
        try
        {
            return new AnswerToolCall(name, JsonSerializer.SerializeToElement(arguments));
        }
        catch (JsonException exception)
        {
            throw new FormatException($"the arguments of '{name}' are no JSON: {exception.Message}", exception);
        }
    }

    private JsonNode? ReadValue(int depth)
    {
        if (depth > DeepestNesting) throw new FormatException($"arguments are nested deeper than {DeepestNesting}");
        SkipSpace();
        if (_at < _text.Length && _text[_at] == '{') return ReadObject(depth);
        if (_at < _text.Length && _text[_at] == '[') return ReadArray(depth);
        return ReadText() is { } text ? JsonValue.Create(text)
            : ParseBare(ReadBare("a value", _isInParentheses ? ValueEndsInParentheses : ValueEnds));
    }

    private JsonObject ReadObject(int depth, string open = "{", string close = "}")
    {
        if (depth > DeepestNesting) throw new FormatException($"arguments are nested deeper than {DeepestNesting}");
        Take(open);
        JsonObject result = [];
        if (TryTake(close)) return result;
        SkipSpace();
        if (_at < _text.Length && _text[_at] == '{')        // no key begins so: the braces are doubled
        {
            result = ReadObject(depth + 1);
            Take(close);
            return result;
        }
        do
        {
            string key = ReadText() ?? ReadBare("a name", KeyEnds);
            if (!TryTake("=")) Take(":");
            result[key] = ReadValue(depth + 1);
        }
        while (TryTake(",") && !IsAt(close));
        Take(close);
        return result;
    }

    private JsonArray ReadArray(int depth)
    {
        Take("[");
        JsonArray result = [];
        if (TryTake("]")) return result;
        do result.Add(ReadValue(depth + 1));
        while (TryTake(","));
        Take("]");
        return result;
    }

    /// <summary>A quoted text, or null where none begins.</summary>
    private string? ReadText()
    {
        if (TryTake(ControlTokens.Quote))
        {
            int end = _text[_at..].IndexOf(ControlTokens.Quote);
            if (end < 0) throw new FormatException("a text has no end");
            string text = _text.Slice(_at, end).ToString();
            _at += end + ControlTokens.Quote.Length;
            return text;
        }
        SkipSpace();
        if (_at == _text.Length) return null;
        return _text[_at] switch
        {
            '"' => ReadDoubleQuoted(),
            '\'' => TryReadSingleQuoted(),
            _ => null,
        };
    }

    private string ReadDoubleQuoted()
    {
        int close = FindClosing('"');
        if (close < 0) throw new FormatException("a text has no end");
        ReadOnlySpan<char> quoted = _text[_at..(close + 1)];
        _at = close + 1;
        try
        {
            return JsonSerializer.Deserialize<string>(quoted)!;
        }
        catch (Exception exception) when (exception is JsonException or InvalidOperationException or ArgumentException)
        {
            return quoted[1..^1].ToString();       // a Windows path, a line break: as it is
        }
    }

    /// <summary>A text in single quotes with structure behind it; an apostrophe at the beginning of a bare word is none.</summary>
    private string? TryReadSingleQuoted()
    {
        int close = FindClosing('\'');
        if (close < 0) return null;
        ReadOnlySpan<char> rest = _text[(close + 1)..].TrimStart();
        if (rest is not ([] or [',' or '}' or ']' or ')' or ':' or '=', ..])) return null;
        string text = _text[(_at + 1)..close].ToString()
            .Replace("\\'", "'", StringComparison.Ordinal).Replace("\\n", "\n", StringComparison.Ordinal)
            .Replace("\\\\", "\\", StringComparison.Ordinal);
        _at = close + 1;
        return text;
    }

    private readonly int FindClosing(char quote)
    {
        int close = _at + 1;
        while (close < _text.Length && _text[close] != quote) close += _text[close] == '\\' ? 2 : 1;
        return close < _text.Length ? close : -1;
    }

    /// <summary>Characters up to the next one that ends a word.</summary>
    private string ReadBare(string expected, SearchValues<char> ends)
    {
        SkipSpace();
        int length = _text[_at..].IndexOfAny(ends);
        string word = (length < 0 ? _text[_at..] : _text.Slice(_at, length)).Trim().ToString();
        if (word.Length == 0) throw new FormatException($"{expected} is missing at '{Excerpt()}'");
        _at += length < 0 ? _text.Length - _at : length;
        return word;
    }

    private static JsonNode? ParseBare(string word) => word switch
    {
        "true" or "True" => JsonValue.Create(true),
        "false" or "False" => JsonValue.Create(false),
        "null" or "None" => null,
        _ => IsNumber(word) ? JsonNode.Parse(word) : JsonValue.Create(word),
    };

    /// <summary>True for JSON's numbers, of any number of digits.</summary>
    private static bool IsNumber(string word)
    {
        if (!(char.IsAsciiDigit(word[^1]) && (char.IsAsciiDigit(word[0]) || word[0] == '-'))) return false;
        Utf8JsonReader reader = new(Encoding.UTF8.GetBytes(word));
        try
        {
            return reader.Read() && reader.TokenType == JsonTokenType.Number && !reader.Read();
        }
        catch (JsonException)
        {
            return false;
        }
    }

    private void Take(string expected)
    {
        if (!TryTake(expected)) throw new FormatException($"'{expected}' is missing at '{Excerpt()}'");
    }

    private bool TryTake(string expected)
    {
        SkipSpace();
        if (!_text[_at..].StartsWith(expected)) return false;
        _at += expected.Length;
        return true;
    }

    private bool IsAt(string expected)
    {
        SkipSpace();
        return _text[_at..].StartsWith(expected);
    }

    private bool IsAtEnd()
    {
        SkipSpace();
        return _at == _text.Length;
    }

    private void SkipSpace()
    {
        while (_at < _text.Length && char.IsWhiteSpace(_text[_at])) _at++;
    }

    private readonly string Excerpt() => (_text.Length - _at > 20 ? $"{_text.Slice(_at, 20)}..." : _text[_at..].ToString())
        .Replace(ControlTokens.Quote, "\"", StringComparison.Ordinal);
}
