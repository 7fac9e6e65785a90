namespace DiffusionGemma.Jinja;

/// <summary>One token of a template's source.</summary>
/// <param name="Kind">Kind of token.</param>
/// <param name="Text">Text as it is output; the value of a string literal.</param>
/// <param name="Line">The template's line, from 1.</param>
internal readonly record struct Token(TokenKind Kind, string Text, int Line)
{
    public bool IsOperator(string text) => Kind == TokenKind.Operator && Text == text;

    public bool IsName(string text) => Kind == TokenKind.Name && Text == text;

    public string Describe() => Kind switch
    {
        TokenKind.End => "end of template",
        TokenKind.TagEnd => "end of statement block",
        TokenKind.ExpressionEnd => "end of print statement",
        TokenKind.TagBegin => "begin of statement block",
        TokenKind.ExpressionBegin => "begin of print statement",
        TokenKind.Text => "template text",
        _ => $"'{Text}'",
    };
}
