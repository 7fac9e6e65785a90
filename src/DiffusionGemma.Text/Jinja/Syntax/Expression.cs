namespace DiffusionGemma.Jinja;

/// <summary>Something that has a value.</summary>
internal abstract record Expression(int Line);

internal sealed record Literal(object? Value, int Line) : Expression(Line);

internal sealed record Variable(string Name, int Line) : Expression(Line);

internal sealed record TupleDisplay(IReadOnlyList<Expression> Items, int Line) : Expression(Line);

internal sealed record ListDisplay(IReadOnlyList<Expression> Items, int Line) : Expression(Line);

internal sealed record DictDisplay(IReadOnlyList<(Expression Key, Expression Value)> Items, int Line) : Expression(Line);

/// <summary><c>target.name</c></summary>
internal sealed record AttributeAccess(Expression Target, string Name, int Line) : Expression(Line);

/// <summary><c>target[index]</c></summary>
internal sealed record ItemAccess(Expression Target, Expression Index, int Line) : Expression(Line);

/// <summary><c>target[start:stop:step]</c></summary>
internal sealed record SliceAccess(Expression Target, Expression? Start, Expression? Stop, Expression? Step, int Line) : Expression(Line);

internal sealed record Call(Expression Target, CallArguments Arguments, int Line) : Expression(Line);

/// <summary><c>input | name(arguments)</c></summary>
internal sealed record Filtered(Expression Input, FilterUse Filter, int Line) : Expression(Line);

/// <summary><c>input is name(arguments)</c></summary>
internal sealed record Tested(Expression Input, string Name, CallArguments Arguments, int Line) : Expression(Line);

internal sealed record Negation(Expression Operand, int Line) : Expression(Line);

/// <summary><c>-operand</c> or <c>+operand</c></summary>
internal sealed record Signed(bool IsMinus, Expression Operand, int Line) : Expression(Line);

/// <summary>One of <c>+ - * / // % **</c>.</summary>
internal sealed record Arithmetic(string Operator, Expression Left, Expression Right, int Line) : Expression(Line);

/// <summary><c>a ~ b ~ c</c></summary>
internal sealed record Concatenation(IReadOnlyList<Expression> Parts, int Line) : Expression(Line);

/// <summary><c>a &lt; b &lt;= c</c>, each operand evaluated once.</summary>
internal sealed record Comparison(Expression First, IReadOnlyList<(string Operator, Expression Operand)> Rest, int Line) : Expression(Line);

internal sealed record Conjunction(Expression Left, Expression Right, int Line) : Expression(Line);

internal sealed record Disjunction(Expression Left, Expression Right, int Line) : Expression(Line);

/// <summary><c>value if condition else otherwise</c></summary>
internal sealed record Conditional(Expression Condition, Expression Value, Expression? Otherwise, int Line) : Expression(Line);

/// <summary>Arguments in the parentheses of a call.</summary>
internal sealed record CallArguments(
    IReadOnlyList<Expression> Positional, IReadOnlyList<(string Name, Expression Value)> Named, Expression? MorePositional,
    Expression? MoreNamed)
{
    public static CallArguments None { get; } = new([], [], null, null);
}

internal sealed record FilterUse(string Name, CallArguments Arguments, int Line);
