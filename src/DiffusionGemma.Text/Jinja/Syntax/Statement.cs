namespace DiffusionGemma.Jinja;

/// <summary>Something that is carried out.</summary>
internal abstract record Statement(int Line);

internal sealed record TextStatement(string Text, int Line) : Statement(Line);

/// <summary><c>{{ value }}</c></summary>
internal sealed record PrintStatement(Expression Value, int Line) : Statement(Line);

internal sealed record IfStatement(IReadOnlyList<(Expression Condition, Block Body)> Branches, Block Otherwise, int Line) : Statement(Line);

internal sealed record ForStatement(
    Target Target, Expression Items, Expression? Condition, Block Body, Block Otherwise, bool IsRecursive, int Line) : Statement(Line);

internal sealed record SetStatement(Target Target, Expression Value, int Line) : Statement(Line);

/// <summary><c>{% set name %}...{% endset %}</c></summary>
internal sealed record SetBlockStatement(Target Target, IReadOnlyList<FilterUse> Filters, Block Body, int Line) : Statement(Line);

internal sealed record MacroStatement(MacroDefinition Macro, int Line) : Statement(Line);

/// <summary><c>{% call(parameters) macro(...) %}...{% endcall %}</c>: the body is the macro's <c>caller</c>.</summary>
internal sealed record CallStatement(Call Call, MacroDefinition Caller, int Line) : Statement(Line);

internal sealed record FilterStatement(IReadOnlyList<FilterUse> Filters, Block Body, int Line) : Statement(Line);

internal sealed record WithStatement(IReadOnlyList<(Target Target, Expression Value)> Values, Block Body, int Line) : Statement(Line);

/// <summary><c>{% generation %}...{% endgeneration %}</c>: what the assistant wrote, as transformers marks it.</summary>
internal sealed record GenerationStatement(Block Body, int Line) : Statement(Line);

internal sealed record BreakStatement(int Line) : Statement(Line);

internal sealed record ContinueStatement(int Line) : Statement(Line);

internal sealed record Block(IReadOnlyList<Statement> Statements)
{
    public static Block Empty { get; } = new([]);
}

/// <summary>Target of an assignment.</summary>
internal abstract record Target(int Line);

internal sealed record NameTarget(string Name, int Line) : Target(Line);

/// <summary><c>namespace.attribute</c></summary>
internal sealed record AttributeTarget(string Name, string Attribute, int Line) : Target(Line);

internal sealed record TupleTarget(IReadOnlyList<Target> Items, int Line) : Target(Line);

/// <param name="Name">As it is called.</param>
/// <param name="Parameters">In order; those with a default come last.</param>
/// <param name="Body">What it renders.</param>
/// <param name="MentionedNames">Names in the body: a macro takes a caller or more arguments only if it mentions them.</param>
internal sealed record MacroDefinition(
    string Name, IReadOnlyList<(string Name, Expression? Default)> Parameters, Block Body, IReadOnlySet<string> MentionedNames);
