namespace DiffusionGemma.Jinja;

/// <summary>The tokens of a template with a place in them.</summary>
internal sealed class TokenStream(IReadOnlyList<Token> tokens)
{
    private int _at;

    public Token Current => tokens[_at];

    public int Line => Current.Line;

    public Token LookAhead => tokens[Math.Min(_at + 1, tokens.Count - 1)];

    public Token Next()
    {
        Token token = tokens[_at];
        if (token.Kind != TokenKind.End)
            _at++;
        return token;
    }

    public bool SkipOperator(string text) => SkipIf(Current.IsOperator(text));

    public bool SkipName(string text) => SkipIf(Current.IsName(text));

    public Token Expect(TokenKind kind, string what)
    {
        if (Current.Kind != kind)
            throw Fail($"expected {what}, got {Current.Describe()}");
        return Next();
    }

    public void ExpectOperator(string text)
    {
        if (!SkipOperator(text))
            throw Fail($"expected '{text}', got {Current.Describe()}");
    }

    public void ExpectName(string text)
    {
        if (!SkipName(text))
            throw Fail($"expected '{text}', got {Current.Describe()}");
    }

    public string ExpectName() => Expect(TokenKind.Name, "a name").Text;

    public TemplateException Fail(string message, int? line = null) => new(message) { Line = line ?? Line };

    private bool SkipIf(bool condition)
    {
        if (condition)
            Next();
        return condition;
    }
}
