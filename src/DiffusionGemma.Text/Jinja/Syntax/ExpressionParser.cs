namespace DiffusionGemma.Jinja;

/// <summary>Expressions, by Jinja's own precedence: one method a level, loosest first.</summary>
internal sealed class ExpressionParser(TokenStream tokens)
{
    private const int DeepestNesting = 200;

    private readonly Stack<HashSet<string>> _mentioned = new();
    private int _depth;

    /// <summary>Collects the names that expressions mention until the result is taken by <see cref="EndMentions"/>.</summary>
    public void BeginMentions() => _mentioned.Push(new HashSet<string>(StringComparer.Ordinal));

    public IReadOnlySet<string> EndMentions()
    {
        HashSet<string> names = _mentioned.Pop();
        if (_mentioned.TryPeek(out HashSet<string>? outer))
            outer.UnionWith(names);
        return names;
    }

    public Expression Parse()
    {
        if (++_depth > DeepestNesting)
            throw tokens.Fail($"expressions are nested more than {DeepestNesting} levels deep");
        Expression expression = ParseConditional();
        _depth--;
        return expression;
    }

    /// <summary>An expression, or a tuple without parentheses.</summary>
    public Expression ParseTuple(bool withConditional = true) => ParseTuple(withConditional, inParentheses: false);

    private Expression ParseTuple(bool withConditional, bool inParentheses)
    {
        int line = tokens.Line;
        List<Expression> items = [];
        bool isTuple = false;
        while (!IsTupleEnd())
        {
            items.Add(withConditional ? Parse() : ParseOr());
            if (!tokens.SkipOperator(","))
                break;
            isTuple = true;
        }
        if (isTuple || (inParentheses && items.Count == 0))
            return new TupleDisplay(items, line);
        return items.Count == 1 ? items[0] : throw tokens.Fail($"expected an expression, got {tokens.Current.Describe()}");
    }

    private bool IsTupleEnd() =>
        tokens.Current.Kind is TokenKind.ExpressionEnd or TokenKind.TagEnd || tokens.Current.IsOperator(")");

    private Expression ParseConditional()
    {
        Expression value = ParseOr();
        while (tokens.Current.IsName("if"))
        {
            int line = tokens.Next().Line;
            Expression condition = ParseOr();
            Expression? otherwise = tokens.SkipName("else") ? Parse() : null;
            value = new Conditional(condition, value, otherwise, line);
        }
        return value;
    }

    /// <summary>Without <c>if ... else</c>, as the items of a loop are written.</summary>
    public Expression ParseOr()
    {
        Expression left = ParseAnd();
        while (tokens.Current.IsName("or"))
        {
            int line = tokens.Next().Line;
            left = new Disjunction(left, ParseAnd(), line);
        }
        return left;
    }

    private Expression ParseAnd()
    {
        Expression left = ParseNot();
        while (tokens.Current.IsName("and"))
        {
            int line = tokens.Next().Line;
            left = new Conjunction(left, ParseNot(), line);
        }
        return left;
    }

    private Expression ParseNot()
    {
        int negations = 0;
        int line = tokens.Line;
        while (tokens.SkipName("not"))
            negations++;
        Expression operand = ParseComparison();
        for (int i = 0; i < Math.Min(negations, 2 - (negations % 2)); i++)
            operand = new Negation(operand, line);      // pairs cancel out, but for the first: it makes a boolean
        return operand;
    }

    private Expression ParseComparison()
    {
        int line = tokens.Line;
        Expression first = ParseSum();
        List<(string, Expression)> rest = [];
        while (ReadComparisonOperator() is { } comparison)
            rest.Add((comparison, ParseSum()));
        return rest.Count == 0 ? first : new Comparison(first, rest, line);
    }

    private string? ReadComparisonOperator()
    {
        if (tokens.Current is { Kind: TokenKind.Operator, Text: "==" or "!=" or "<" or "<=" or ">" or ">=" })
            return tokens.Next().Text;
        if (tokens.SkipName("in"))
            return "in";
        if (tokens.Current.IsName("not") && tokens.LookAhead.IsName("in"))
        {
            tokens.Next();
            tokens.Next();
            return "not in";
        }
        return null;
    }

    private Expression ParseSum()
    {
        Expression left = ParseConcatenation();
        while (tokens.Current is { Kind: TokenKind.Operator, Text: "+" or "-" })
        {
            Token sign = tokens.Next();
            left = new Arithmetic(sign.Text, left, ParseConcatenation(), sign.Line);
        }
        return left;
    }

    private Expression ParseConcatenation()
    {
        int line = tokens.Line;
        List<Expression> parts = [ParseProduct()];
        while (tokens.SkipOperator("~"))
            parts.Add(ParseProduct());
        return parts.Count == 1 ? parts[0] : new Concatenation(parts, line);
    }

    private Expression ParseProduct()
    {
        Expression left = ParsePower();
        while (tokens.Current is { Kind: TokenKind.Operator, Text: "*" or "/" or "//" or "%" })
        {
            Token sign = tokens.Next();
            left = new Arithmetic(sign.Text, left, ParsePower(), sign.Line);
        }
        return left;
    }

    private Expression ParsePower()
    {
        Expression left = ParseUnary(withFilters: true);
        while (tokens.Current.IsOperator("**"))
        {
            int line = tokens.Next().Line;
            left = new Arithmetic("**", left, ParseUnary(withFilters: true), line);
        }
        return left;
    }

    private Expression ParseUnary(bool withFilters)
    {
        Expression operand;
        Token token = tokens.Current;
        if (token.IsOperator("-") || token.IsOperator("+"))
        {
            tokens.Next();
            if (++_depth > DeepestNesting)
                throw tokens.Fail($"expressions are nested more than {DeepestNesting} levels deep");
            operand = new Signed(token.Text == "-", ParseUnary(withFilters: false), token.Line);
            _depth--;
        }
        else
        {
            operand = ParsePrimary();
        }
        operand = ParsePostfix(operand);
        return withFilters ? ParseFilters(operand) : operand;
    }

    private Expression ParsePrimary()
    {
        Token token = tokens.Next();
        switch (token.Kind)
        {
            case TokenKind.Name:
                return ParseName(token);
            case TokenKind.String:
                string text = token.Text;
                while (tokens.Current.Kind == TokenKind.String)
                    text += tokens.Next().Text;
                return new Literal(text, token.Line);
            case TokenKind.Integer:
                return new Literal(NumberLiteral.ParseInteger(token.Text), token.Line);
            case TokenKind.Float:
                return new Literal(NumberLiteral.ParseFloat(token.Text), token.Line);
            case TokenKind.Operator when token.Text == "(":
                if (++_depth > DeepestNesting)
                    throw tokens.Fail($"expressions are nested more than {DeepestNesting} levels deep");
                Expression inner = ParseTuple(withConditional: true, inParentheses: true);
                _depth--;
                tokens.ExpectOperator(")");
                return inner;
            case TokenKind.Operator when token.Text == "[":
                return ParseList(token.Line);
            case TokenKind.Operator when token.Text == "{":
                return ParseDict(token.Line);
            default:
                throw tokens.Fail($"unexpected {token.Describe()}", token.Line);
        }
    }

    private Expression ParseName(Token token)
    {
        switch (token.Text)
        {
            case "true" or "True": return new Literal(true, token.Line);
            case "false" or "False": return new Literal(false, token.Line);
            case "none" or "None": return new Literal(null, token.Line);
        }
        if (_mentioned.TryPeek(out HashSet<string>? names))
            names.Add(token.Text);
        return new Variable(token.Text, token.Line);
    }

    private ListDisplay ParseList(int line)
    {
        List<Expression> items = [];
        while (!tokens.Current.IsOperator("]"))
        {
            items.Add(Parse());
            if (!tokens.SkipOperator(","))
                break;
        }
        tokens.ExpectOperator("]");
        return new ListDisplay(items, line);
    }

    private DictDisplay ParseDict(int line)
    {
        List<(Expression, Expression)> items = [];
        while (!tokens.Current.IsOperator("}"))
        {
            Expression key = Parse();
            tokens.ExpectOperator(":");
            items.Add((key, Parse()));
            if (!tokens.SkipOperator(","))
                break;
        }
        tokens.ExpectOperator("}");
        return new DictDisplay(items, line);
    }

    private Expression ParsePostfix(Expression target)
    {
        while (true)
        {
            if (tokens.Current.IsOperator("."))
                target = ParseDot(target);
            else if (tokens.Current.IsOperator("["))
                target = ParseSubscript(target);
            else if (tokens.Current.IsOperator("("))
                target = ParseCall(target);
            else
                return target;
        }
    }

    private Expression ParseDot(Expression target)
    {
        int line = tokens.Next().Line;
        Token name = tokens.Next();
        return name.Kind switch
        {
            TokenKind.Name => new AttributeAccess(target, name.Text, line),
            TokenKind.Integer => new ItemAccess(target, new Literal(NumberLiteral.ParseInteger(name.Text), line), line),
            _ => throw tokens.Fail($"expected name or number, got {name.Describe()}", name.Line),
        };
    }

    private Expression ParseSubscript(Expression target)
    {
        int line = tokens.Next().Line;
        Expression? start = tokens.Current.IsOperator(":") ? null : Parse();
        if (!tokens.Current.IsOperator(":"))
        {
            if (tokens.Current.IsOperator(","))
                start = ParseIndexTuple(start!, line);
            tokens.ExpectOperator("]");
            return new ItemAccess(target, start!, line);
        }
        tokens.ExpectOperator(":");
        Expression? stop = IsSliceEnd() ? null : Parse();
        Expression? step = tokens.SkipOperator(":") && !IsSliceEnd() ? Parse() : null;
        tokens.ExpectOperator("]");
        return new SliceAccess(target, start, stop, step, line);

        bool IsSliceEnd() => tokens.Current.IsOperator("]") || tokens.Current.IsOperator(":");
    }

    private TupleDisplay ParseIndexTuple(Expression first, int line)
    {
        List<Expression> items = [first];
        while (tokens.SkipOperator(","))
            items.Add(Parse());
        return new TupleDisplay(items, line);
    }

    public Call ParseCall(Expression target)
    {
        int line = tokens.Line;
        return new Call(target, ParseArguments(), line);
    }

    private CallArguments ParseArguments()
    {
        tokens.ExpectOperator("(");
        List<Expression> positional = [];
        List<(string, Expression)> named = [];
        Expression? morePositional = null;
        Expression? moreNamed = null;
        while (!tokens.Current.IsOperator(")"))
        {
            if (moreNamed is not null)
                throw tokens.Fail("invalid syntax for function call expression");
            if (tokens.SkipOperator("**"))
            {
                moreNamed = Parse();
            }
            else if (morePositional is null && tokens.SkipOperator("*"))
            {
                morePositional = Parse();
            }
            else if (tokens.Current.Kind == TokenKind.Name && tokens.LookAhead.IsOperator("="))
            {
                string name = tokens.Next().Text;
                tokens.Next();
                named.Add((name, Parse()));
            }
            else if (named.Count == 0 && morePositional is null)
            {
                positional.Add(Parse());
            }
            else
            {
                throw tokens.Fail("invalid syntax for function call expression");
            }
            if (!tokens.SkipOperator(","))
                break;
        }
        tokens.ExpectOperator(")");
        return new CallArguments(positional, named, morePositional, moreNamed);
    }

    private Expression ParseFilters(Expression input)
    {
        while (true)
        {
            if (tokens.Current.IsOperator("|"))
            {
                tokens.Next();
                FilterUse filter = ParseFilterUse();
                input = new Filtered(input, filter, filter.Line);
            }
            else if (tokens.Current.IsName("is"))
            {
                input = ParseTest(input);
            }
            else if (tokens.Current.IsOperator("("))
            {
                input = ParseCall(input);
            }
            else
            {
                return input;
            }
        }
    }

    /// <summary>A filter's name and arguments, after the bar.</summary>
    public FilterUse ParseFilterUse()
    {
        int line = tokens.Line;
        string name = tokens.ExpectName();
        if (!Filters.Exists(name))
            throw tokens.Fail($"no filter named '{name}'", line);
        return new FilterUse(name, tokens.Current.IsOperator("(") ? ParseArguments() : CallArguments.None, line);
    }

    private Expression ParseTest(Expression input)
    {
        int line = tokens.Next().Line;
        bool isNegated = tokens.SkipName("not");
        string name = tokens.ExpectName();
        if (!Tests.Exists(name))
            throw tokens.Fail($"no test named '{name}'", line);
        CallArguments arguments = CallArguments.None;
        if (tokens.Current.IsOperator("("))
            arguments = ParseArguments();
        else if (StartsBareArgument())
            arguments = new CallArguments([ParsePostfix(ParsePrimary())], [], null, null);
        Expression test = new Tested(input, name, arguments, line);
        return isNegated ? new Negation(test, line) : test;
    }

    /// <summary><c>is divisibleby 3</c>: an argument without parentheses.</summary>
    private bool StartsBareArgument()
    {
        if (tokens.Current.IsName("is"))
            throw tokens.Fail("you cannot chain multiple tests with is");
        return tokens.Current.Kind switch
        {
            TokenKind.Name => tokens.Current.Text is not ("else" or "or" or "and"),
            TokenKind.String or TokenKind.Integer or TokenKind.Float => true,
            TokenKind.Operator => tokens.Current.Text is "[" or "{",
            _ => false,
        };
    }
}
