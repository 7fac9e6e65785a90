namespace DiffusionGemma.Jinja;

/// <summary>Kinds of token in a template's source.</summary>
internal enum TokenKind
{
    Text,
    ExpressionBegin,
    ExpressionEnd,
    TagBegin,
    TagEnd,
    Name,
    String,
    Integer,
    Float,
    Operator,
    End,
}
