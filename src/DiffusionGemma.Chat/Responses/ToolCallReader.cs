using System.Buffers;
using System.Text;
using System.Text.Json;

namespace DiffusionGemma;

/// <summary>
/// What stands between <c>&lt;|tool_call></c> and <c>&lt;tool_call|></c>, as Gemma 4's chat template writes calls:
/// <code>
/// calls   = call { [","] call }
/// call    = "call:" name object
/// object  = "{" [ key ":" value { "," key ":" value } ] "}"
/// value   = text | object | "[" [ value { "," value } ] "]" | "true" | "false" | "null" | number
/// text    = quote ... quote                          quote: the token &lt;|"|>; nothing is escaped in between
/// </code>
/// A key is bare, or a text. What models also write is understood too: texts in plain double quotes (as in JSON), None for null, and bare
/// words as texts. Space between the parts is ignored.
/// </summary>
internal ref struct ToolCallReader
{
    private const int Deepest = 64;
    private static readonly SearchValues<char> Structure = SearchValues.Create("{}[],:\"<\n");
    private readonly ReadOnlySpan<char> _text;
    private int _at;

    private ToolCallReader(ReadOnlySpan<char> text) => _text = text;

    /// <summary>The calls' names and arguments; values are <see cref="JsonElement"/>s, numbers as they were written.</summary>
    /// <exception cref="FormatException">It is no such call; the message says what is wrong.</exception>
    public static List<(string Name, Dictionary<string, object?> Arguments)> Read(string text)
    {
        var reader = new ToolCallReader(text);
        List<(string, Dictionary<string, object?>)> calls = [];
        do
        {
            calls.Add(reader.ReadCall());
            reader.TryTake(",");
        }
        while (!reader.AtEnd());
        return calls;
    }

    private (string Name, Dictionary<string, object?> Arguments) ReadCall()
    {
        Take("call:");
        int open = _text[_at..].IndexOf('{');
        string name = open < 0 ? "" : _text.Slice(_at, open).Trim().ToString();
        if (name.Length == 0 || name.AsSpan().ContainsAny(Structure) || name.Any(c => char.IsWhiteSpace(c) || c is '(' or ')'))
            throw new FormatException("no name and '{' follow 'call:'");
        _at += open;
        ArrayBufferWriter<byte> json = new();
        using (Utf8JsonWriter writer = new(json))
            ReadObject(writer, 0);
        try
        {
            return (name, JsonSerializer.Deserialize<Dictionary<string, object?>>(json.WrittenSpan)!);
        }
        catch (JsonException e)
        {
            throw new FormatException($"the arguments of '{name}' are no JSON: {e.Message}", e);
        }
    }

    private void ReadValue(Utf8JsonWriter writer, int depth)
    {
        if (depth > Deepest) throw new FormatException($"arguments are nested deeper than {Deepest}");
        SkipSpace();
        if (_at < _text.Length && _text[_at] == '{') ReadObject(writer, depth);
        else if (_at < _text.Length && _text[_at] == '[') ReadArray(writer, depth);
        else if (ReadText() is { } text) writer.WriteStringValue(text);
        else WriteBare(writer, ReadBare("a value"));
    }

    private void ReadObject(Utf8JsonWriter writer, int depth)
    {
        Take("{");
        writer.WriteStartObject();
        if (!TryTake("}"))
        {
            do
            {
                writer.WritePropertyName(ReadText() ?? ReadBare("a name"));
                Take(":");
                ReadValue(writer, depth + 1);
            }
            while (TryTake(","));
            Take("}");
        }
        writer.WriteEndObject();
    }

    private void ReadArray(Utf8JsonWriter writer, int depth)
    {
        Take("[");
        writer.WriteStartArray();
        if (!TryTake("]"))
        {
            do ReadValue(writer, depth + 1);
            while (TryTake(","));
            Take("]");
        }
        writer.WriteEndArray();
    }

    /// <summary>A quoted text, or null where none begins.</summary>
    private string? ReadText()
    {
        if (TryTake(Markers.Quote))
        {
            int end = _text[_at..].IndexOf(Markers.Quote);
            if (end < 0) throw new FormatException("a text has no end");
            string text = _text.Slice(_at, end).ToString();
            _at += end + Markers.Quote.Length;
            return text;
        }
        SkipSpace();
        if (_at == _text.Length || _text[_at] != '"') return null;
        int close = _at + 1;
        while (close < _text.Length && _text[close] != '"') close += _text[close] == '\\' ? 2 : 1;
        if (close >= _text.Length) throw new FormatException("a text has no end");
        ReadOnlySpan<char> quoted = _text[_at..(close + 1)];
        _at = close + 1;
        try
        {
            return JsonSerializer.Deserialize<string>(quoted)!;
        }
        catch (Exception e) when (e is JsonException or InvalidOperationException or ArgumentException)
        {
            return quoted[1..^1].ToString();       // a Windows path, a line break: as it stands
        }
    }

    /// <summary>Letters up to the next sign of structure.</summary>
    private string ReadBare(string expected)
    {
        SkipSpace();
        int length = _text[_at..].IndexOfAny(Structure);
        string word = (length < 0 ? _text[_at..] : _text.Slice(_at, length)).Trim().ToString();
        if (word.Length == 0) throw new FormatException($"{expected} is missing at '{Excerpt()}'");
        _at += length < 0 ? _text.Length - _at : length;
        return word;
    }

    private static void WriteBare(Utf8JsonWriter writer, string word)
    {
        switch (word)
        {
            case "true" or "True":
                writer.WriteBooleanValue(true);
                return;
            case "false" or "False":
                writer.WriteBooleanValue(false);
                return;
            case "null" or "None":
                writer.WriteNullValue();
                return;
        }
        if (IsNumber(word)) writer.WriteRawValue(word);
        else writer.WriteStringValue(word);
    }

    /// <summary>JSON's numbers: as many digits as there are.</summary>
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

    private bool AtEnd()
    {
        SkipSpace();
        return _at == _text.Length;
    }

    private void SkipSpace()
    {
        while (_at < _text.Length && char.IsWhiteSpace(_text[_at])) _at++;
    }

    private readonly string Excerpt() => (_text.Length - _at > 20 ? $"{_text.Slice(_at, 20)}..." : _text[_at..].ToString())
        .Replace(Markers.Quote, "\"", StringComparison.Ordinal);
}
