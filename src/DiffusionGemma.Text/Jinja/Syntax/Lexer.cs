namespace DiffusionGemma.Jinja;

/// <summary>
/// Template text to tokens, whitespace control included: <c>-</c> strips, <c>+</c> keeps, and as transformers sets it, a newline right
/// after a tag is dropped (trim_blocks) and so is the indentation before one that is first on its line (lstrip_blocks).
/// </summary>
internal sealed class Lexer
{
    private static readonly string[] LongOperators = ["==", "!=", "<=", ">=", "//", "**"];
    private const string ShortOperators = "+-*/%~<>=.,:|;()[]{}";

    private readonly string _source;
    private readonly List<Token> _tokens = [];
    private readonly Stack<char> _open = new();
    private int _at;
    private int _line = 1;
    private bool _atLineStart = true;

    private Lexer(string source) => _source = source;

    /// <exception cref="TemplateException">With the line.</exception>
    public static List<Token> Read(string source)
    {
        // Jinja knows three kinds of newline; string.ReplaceLineEndings would also change others that stand in text.
        source = source.Replace("\r\n", "\n", StringComparison.Ordinal).Replace('\r', '\n');
        Lexer lexer = new(source.EndsWith('\n') ? source[..^1] : source);
        try
        {
            lexer.ReadAll();
        }
        catch (TemplateException exception)
        {
            exception.Line ??= lexer._line;
            throw;
        }
        return lexer._tokens;
    }

    private void ReadAll()
    {
        while (_at < _source.Length)
        {
            int tag = NextTag(_at);
            if (tag < 0)
            {
                Add(TokenKind.Text, _source[_at..]);
                break;
            }
            string text = _source[_at..tag];
            char kind = _source[tag + 1];
            char sign = SignAt(tag + 2);
            _at = tag + 2 + (sign == ' ' ? 0 : 1);
            if (kind == '%' && TrySkipRawTag(_at, "raw", out int rawStart))
            {
                AddText(text, sign, isExpression: false);
                CountLines(tag, rawStart);
                ReadRaw(rawStart);
                continue;
            }
            AddText(text, sign, isExpression: kind == '{');
            if (kind == '#')
                SkipComment();
            else
                ReadTag(isExpression: kind == '{');
        }
        Add(TokenKind.End, "");
    }

    private int NextTag(int from)
    {
        for (int at = from; (at = _source.IndexOf('{', at)) >= 0 && at + 1 < _source.Length; at++)
        {
            if (_source[at + 1] is '{' or '%' or '#')
                return at;
        }
        return -1;
    }

    private char SignAt(int at) => at < _source.Length && _source[at] is '-' or '+' ? _source[at] : ' ';

    /// <summary>Text before a tag, less what the tag's sign or lstrip_blocks takes from its end.</summary>
    private void AddText(string text, char sign, bool isExpression)
    {
        string kept = text;
        if (sign == '-')
        {
            kept = PyString.TrimEnd(text);
        }
        else if (sign != '+' && !isExpression)
        {
            int lineStart = text.LastIndexOf('\n') + 1;
            if ((lineStart > 0 || _atLineStart) && PyString.IsBlank(text.AsSpan(lineStart)))
                kept = text[..lineStart];
        }
        if (kept.Length > 0)
            Add(TokenKind.Text, kept);
        _line += text.AsSpan().Count('\n');
    }

    private void SkipComment()
    {
        int end = _source.IndexOf("#}", _at, StringComparison.Ordinal);
        if (end < 0)
            throw new TemplateException("missing end of comment tag");
        // A sign right after the opening one is not a closing one.
        char sign = end > _at ? SignAt(end - 1) : ' ';
        int from = _at;
        _at = end + 2;
        EndTag(sign, dropsNewline: true);
        CountLines(from, _at);
    }

    private void ReadRaw(int start)
    {
        for (int tag = start; (tag = _source.IndexOf("{%", tag, StringComparison.Ordinal)) >= 0; tag++)
        {
            char sign = SignAt(tag + 2);
            if (!TrySkipRawTag(tag + 2 + (sign == ' ' ? 0 : 1), "endraw", out int end))
                continue;
            AddText(_source[start..tag], sign, isExpression: false);
            CountLines(tag, end);
            _at = end;
            return;
        }
        throw new TemplateException("missing end of raw directive");
    }

    /// <summary>Recognises the rest of <c>{% raw %}</c> or <c>{% endraw %}</c>, and finds where text goes on behind it.</summary>
    private bool TrySkipRawTag(int at, string word, out int end)
    {
        end = at;
        at = SkipSpace(at);
        if (string.CompareOrdinal(_source, at, word, 0, word.Length) != 0)
            return false;
        at = SkipSpace(at + word.Length);
        char sign = SignAt(at);
        if (sign != ' ' && !(sign == '+' && word == "raw"))
            at++;
        if (string.CompareOrdinal(_source, at, "%}", 0, 2) != 0)
            return false;
        int keep = _at;
        _at = at + 2;
        EndTag(sign, dropsNewline: word == "endraw");
        (end, _at) = (_at, keep);
        return true;
    }

    private void ReadTag(bool isExpression)
    {
        Add(isExpression ? TokenKind.ExpressionBegin : TokenKind.TagBegin, "");
        while (true)
        {
            int space = SkipSpace(_at);
            CountLines(_at, space);
            _at = space;
            if (_at >= _source.Length)
                throw new TemplateException("unexpected end of template");
            if (_open.Count == 0 && TryEndTag(isExpression))
                return;
            ReadToken();
        }
    }

    private bool TryEndTag(bool isExpression)
    {
        char sign = SignAt(_at);
        if (sign == '+' && isExpression)
            sign = ' ';
        int at = _at + (sign == ' ' ? 0 : 1);
        if (string.CompareOrdinal(_source, at, isExpression ? "}}" : "%}", 0, 2) != 0)
            return false;
        Add(isExpression ? TokenKind.ExpressionEnd : TokenKind.TagEnd, "");
        int from = _at;
        _at = at + 2;
        EndTag(sign, dropsNewline: !isExpression);
        CountLines(from, _at);
        return true;
    }

    /// <summary>Skips what the closing sign, or trim_blocks, takes from the text behind a tag.</summary>
    private void EndTag(char sign, bool dropsNewline)
    {
        if (sign == '-')
            _at = SkipSpace(_at);
        else if (sign != '+' && dropsNewline && _at < _source.Length && _source[_at] == '\n')
            _at++;
        _atLineStart = _source[_at - 1] == '\n';
    }

    private void ReadToken()
    {
        char first = _source[_at];
        if (char.IsAsciiDigit(first))
        {
            bool afterDot = _source[_at - 1] == '.';
            int end = NumberLiteral.End(_source, _at, allowFloat: !afterDot, out bool isFloat);
            Add(isFloat ? TokenKind.Float : TokenKind.Integer, _source[_at..end]);
            _at = end;
        }
        else if (first == '_' || char.IsLetter(first))
        {
            int end = _at;
            while (end < _source.Length && (_source[end] == '_' || char.IsLetterOrDigit(_source[end])))
                end++;
            Add(TokenKind.Name, _source[_at..end]);
            _at = end;
        }
        else if (first is '\'' or '"')
        {
            string value = StringLiteral.Read(_source, _at, out int end);
            Add(TokenKind.String, value);
            CountLines(_at, end);
            _at = end;
        }
        else
        {
            ReadOperator();
        }
    }

    private void ReadOperator()
    {
        string? text = Array.Find(LongOperators, text => string.CompareOrdinal(_source, _at, text, 0, text.Length) == 0);
        text ??= ShortOperators.Contains(_source[_at])
            ? _source[_at].ToString() : throw new TemplateException($"unexpected char '{_source[_at]}'");
        switch (text)
        {
            case "(": _open.Push(')'); break;
            case "[": _open.Push(']'); break;
            case "{": _open.Push('}'); break;
            case ")" or "]" or "}":
                if (!_open.TryPop(out char expected))
                    throw new TemplateException($"unexpected '{text}'");
                if (expected != text[0])
                    throw new TemplateException($"unexpected '{text}', expected '{expected}'");
                break;
        }
        Add(TokenKind.Operator, text);
        _at += text.Length;
    }

    private int SkipSpace(int at)
    {
        while (at < _source.Length && PyString.IsSpace(_source[at]))
            at++;
        return at;
    }

    private void CountLines(int from, int to) => _line += _source.AsSpan(from, to - from).Count('\n');

    private void Add(TokenKind kind, string text) => _tokens.Add(new Token(kind, text, _line));
}
