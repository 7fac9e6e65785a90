namespace DiffusionGemma.Jinja;

/// <summary>A template's text to its statements.</summary>
internal sealed class StatementParser
{
    private const int DeepestNesting = 100;

    private readonly TokenStream _tokens;
    private readonly ExpressionParser _expressions;
    private int _depth;
    private int _loops;                 // loops that a break here would leave
    private bool _hasGeneration;

    private StatementParser(string source)
    {
        _tokens = new TokenStream(Lexer.Read(source));
        _expressions = new ExpressionParser(_tokens);
    }

    /// <exception cref="TemplateException">With the line.</exception>
    public static Block Parse(string source, out bool hasGeneration)
    {
        StatementParser parser = new(source);
        try
        {
            Block template = parser.ParseUntil();
            hasGeneration = parser._hasGeneration;
            return template;
        }
        catch (TemplateException exception)
        {
            exception.Line ??= parser._tokens.Line;
            throw;
        }
    }

    /// <summary>Statements up to a tag of one of these names, which is left as the current token; without names, to the end.</summary>
    private Block ParseUntil(params ReadOnlySpan<string> ends)
    {
        if (++_depth > DeepestNesting)
            throw _tokens.Fail($"statements are nested more than {DeepestNesting} levels deep");
        List<Statement> statements = [];
        while (true)
        {
            Token token = _tokens.Next();
            switch (token.Kind)
            {
                case TokenKind.Text:
                    statements.Add(new TextStatement(token.Text, token.Line));
                    break;
                case TokenKind.ExpressionBegin:
                    statements.Add(new PrintStatement(_expressions.ParseTuple(), token.Line));
                    _tokens.Expect(TokenKind.ExpressionEnd, "end of print statement");
                    break;
                case TokenKind.TagBegin:
                    if (_tokens.Current.Kind == TokenKind.Name && ends.Contains(_tokens.Current.Text))
                    {
                        _depth--;
                        return new Block(statements);
                    }
                    statements.Add(ParseTag());
                    EndTag();
                    break;
                case TokenKind.End when ends.IsEmpty:
                    _depth--;
                    return new Block(statements);
                default:
                    throw _tokens.Fail($"unexpected {token.Describe()}, expected {{% {string.Join(" or ", ends.ToArray())} %}}",
                        token.Line);
            }
        }
    }

    /// <summary>A body up to its end tag's name, which is consumed.</summary>
    private Block ParseBody(string end)
    {
        EndTag();
        Block body = ParseUntil(end);
        _tokens.ExpectName(end);
        return body;
    }

    private void EndTag() => _tokens.Expect(TokenKind.TagEnd, "end of statement block");

    private Statement ParseTag()
    {
        int line = _tokens.Line;
        string name = _tokens.Expect(TokenKind.Name, "a tag name").Text;
        return name switch
        {
            "if" => ParseIf(line),
            "for" => ParseFor(line),
            "set" => ParseSet(line),
            "macro" => ParseMacro(line),
            "call" => ParseCall(line),
            "filter" => ParseFilter(line),
            "with" => ParseWith(line),
            "generation" => ParseGeneration(line),
            "break" => InLoop(new BreakStatement(line)),
            "continue" => InLoop(new ContinueStatement(line)),
            "block" or "extends" or "include" or "import" or "from" or "autoescape" or "print" or "do" or "trans" =>
                throw _tokens.Fail($"the tag '{name}' is not supported", line),
            _ => throw _tokens.Fail($"encountered unknown tag '{name}'", line),
        };
    }

    private IfStatement ParseIf(int line)
    {
        List<(Expression, Block)> branches = [];
        do
        {
            Expression condition = _expressions.ParseTuple(withConditional: false);
            EndTag();
            branches.Add((condition, ParseUntil("elif", "else", "endif")));
        }
        while (_tokens.SkipName("elif"));

        Block otherwise = Block.Empty;
        if (_tokens.SkipName("else"))
        {
            EndTag();
            otherwise = ParseUntil("endif");
        }
        _tokens.ExpectName("endif");
        return new IfStatement(branches, otherwise, line);
    }

    private ForStatement ParseFor(int line)
    {
        Target target = ParseTarget(allowAttribute: false, end: "in");
        _tokens.ExpectName("in");
        Expression items = _expressions.ParseTuple(withConditional: false);
        Expression? condition = _tokens.SkipName("if") ? _expressions.Parse() : null;
        bool isRecursive = _tokens.SkipName("recursive");
        EndTag();
        _loops++;
        Block body = ParseUntil("else", "endfor");
        _loops--;
        Block otherwise = Block.Empty;
        if (_tokens.SkipName("else"))
        {
            EndTag();
            otherwise = ParseUntil("endfor");
        }
        _tokens.ExpectName("endfor");
        return new ForStatement(target, items, condition, body, otherwise, isRecursive, line);
    }

    private Statement ParseSet(int line)
    {
        Target target = ParseTarget(allowAttribute: true);
        if (_tokens.SkipOperator("="))
            return new SetStatement(target, _expressions.ParseTuple(), line);
        List<FilterUse> filters = [];
        while (_tokens.SkipOperator("|"))
            filters.Add(_expressions.ParseFilterUse());
        return new SetBlockStatement(target, filters, ParseClosedBody("endset"), line);
    }

    private Target ParseTarget(bool allowAttribute, string? end = null)
    {
        int line = _tokens.Line;
        List<Target> items = [];
        bool isTuple = false;
        do
        {
            if (items.Count > 0 && (_tokens.Current.IsOperator("=") || (end is not null && _tokens.Current.IsName(end))))
                break;
            items.Add(ParseOneTarget(allowAttribute));
            isTuple |= _tokens.Current.IsOperator(",");
        }
        while (_tokens.SkipOperator(","));
        return isTuple ? new TupleTarget(items, line) : items[0];
    }

    private Target ParseOneTarget(bool allowAttribute)
    {
        int line = _tokens.Line;
        if (_tokens.SkipOperator("("))
        {
            Target inner = ParseTarget(allowAttribute);
            _tokens.ExpectOperator(")");
            return inner;
        }
        string name = _tokens.ExpectName();
        if (name is "true" or "false" or "none" or "True" or "False" or "None")
            throw _tokens.Fail($"can't assign to '{name}'", line);
        return allowAttribute && _tokens.SkipOperator(".")
            ? new AttributeTarget(name, _tokens.ExpectName(), line) : new NameTarget(name, line);
    }

    private MacroStatement ParseMacro(int line)
    {
        string name = _tokens.ExpectName();
        return new MacroStatement(ParseDefinition(name, "endmacro"), line);
    }

    private CallStatement ParseCall(int line)
    {
        // The signature comes before the call, the body after it.
        _expressions.BeginMentions();
        List<(string, Expression?)> parameters = _tokens.Current.IsOperator("(") ? ParseParameters() : [];
        if (_expressions.Parse() is not Call call)
            throw _tokens.Fail("expected a call", line);
        Block body = ParseClosedBody("endcall");
        return new CallStatement(call, new MacroDefinition("caller", parameters, body, _expressions.EndMentions()), line);
    }

    private MacroDefinition ParseDefinition(string name, string end)
    {
        _expressions.BeginMentions();
        List<(string, Expression?)> parameters = ParseParameters();
        Block body = ParseClosedBody(end);
        return new MacroDefinition(name, parameters, body, _expressions.EndMentions());
    }

    private List<(string Name, Expression? Default)> ParseParameters()
    {
        List<(string Name, Expression? Default)> parameters = [];
        _tokens.ExpectOperator("(");
        while (!_tokens.Current.IsOperator(")"))
        {
            string name = _tokens.ExpectName();
            Expression? fallback = _tokens.SkipOperator("=") ? _expressions.Parse() : null;
            if (fallback is null && parameters.Exists(parameter => parameter.Default is not null))
                throw _tokens.Fail("non-default argument follows default argument");
            parameters.Add((name, fallback));
            if (!_tokens.SkipOperator(","))
                break;
        }
        _tokens.ExpectOperator(")");
        return parameters;
    }

    private FilterStatement ParseFilter(int line)
    {
        List<FilterUse> filters = [];
        do
        {
            filters.Add(_expressions.ParseFilterUse());
        }
        while (_tokens.SkipOperator("|"));
        return new FilterStatement(filters, ParseClosedBody("endfilter"), line);
    }

    private WithStatement ParseWith(int line)
    {
        List<(Target, Expression)> values = [];
        while (_tokens.Current.Kind != TokenKind.TagEnd)
        {
            if (values.Count > 0)
                _tokens.ExpectOperator(",");
            Target target = new NameTarget(_tokens.ExpectName(), _tokens.Line);
            _tokens.ExpectOperator("=");
            values.Add((target, _expressions.Parse()));
        }
        return new WithStatement(values, ParseBody("endwith"), line);
    }

    private GenerationStatement ParseGeneration(int line)
    {
        _hasGeneration = true;
        return new GenerationStatement(ParseClosedBody("endgeneration"), line);
    }

    /// <summary>A body that is captured: break and continue cannot leave it.</summary>
    private Block ParseClosedBody(string end)
    {
        int loops = _loops;
        _loops = 0;
        Block body = ParseBody(end);
        _loops = loops;
        return body;
    }

    private Statement InLoop(Statement statement) =>
        _loops > 0 ? statement : throw _tokens.Fail(
            "break and continue are only valid inside a loop, and not out of a block that is rendered apart", statement.Line);
}
