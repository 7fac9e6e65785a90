namespace DiffusionGemma.Jinja;

internal sealed partial class Interpreter
{
    public object? Evaluate(Expression expression, Scope scope)
    {
        Budget.CheckStack();
        Budget.Step();
        return expression switch
        {
            Literal literal => literal.Value,
            Variable variable => scope.Get(variable.Name),
            TupleDisplay tuple => new PyTuple(EvaluateAll(tuple.Items, scope)),
            ListDisplay list => new PyList(EvaluateAll(list.Items, scope)),
            DictDisplay dict => EvaluateDict(dict, scope),
            AttributeAccess access => PyAttributes.GetAttribute(Evaluate(access.Target, scope), access.Name),
            ItemAccess access => PyAttributes.GetItem(Evaluate(access.Target, scope), Evaluate(access.Index, scope)),
            SliceAccess slice => EvaluateSlice(slice, scope),
            Call call => Invoke(call, scope),
            Filtered filtered => Apply(filtered.Filter, Evaluate(filtered.Input, scope), scope),
            Tested tested => Test(tested, scope),
            Negation negation => !PyType.IsTrue(Evaluate(negation.Operand, scope)),
            Signed signed => EvaluateSigned(signed, scope),
            Arithmetic arithmetic =>
                PyOperators.Apply(arithmetic.Operator, Evaluate(arithmetic.Left, scope), Evaluate(arithmetic.Right, scope), Budget),
            Concatenation concatenation =>
                PyOperators.Concatenate([.. concatenation.Parts.Select(part => PyText.Str(Evaluate(part, scope), Budget))], Budget),
            Comparison comparison => EvaluateComparison(comparison, scope),
            Conjunction both => Evaluate(both.Left, scope) is var left && PyType.IsTrue(left) ? Evaluate(both.Right, scope) : left,
            Disjunction either => Evaluate(either.Left, scope) is var left && PyType.IsTrue(left) ? left : Evaluate(either.Right, scope),
            Conditional conditional => EvaluateConditional(conditional, scope),
            _ => throw new InvalidOperationException($"No way to evaluate {expression.GetType().Name}."),
        };
    }

    private object?[] EvaluateAll(IReadOnlyList<Expression> expressions, Scope scope)
    {
        object?[] values = new object?[expressions.Count];
        for (int i = 0; i < values.Length; i++)
            values[i] = Evaluate(expressions[i], scope);
        return values;
    }

    private PyDict EvaluateDict(DictDisplay display, Scope scope)
    {
        PyDict dict = [];
        foreach ((Expression key, Expression value) in display.Items)
            dict[Evaluate(key, scope)] = Evaluate(value, scope);
        return dict;
    }

    private object? EvaluateSlice(SliceAccess slice, Scope scope)
    {
        object? target = Evaluate(slice.Target, scope);
        object? start = slice.Start is null ? null : Evaluate(slice.Start, scope);
        object? stop = slice.Stop is null ? null : Evaluate(slice.Stop, scope);
        object? step = slice.Step is null ? null : Evaluate(slice.Step, scope);
        return PySlice.Apply(target, start, stop, step, Budget);
    }

    private object EvaluateSigned(Signed signed, Scope scope)
    {
        object? value = Evaluate(signed.Operand, scope);
        return signed.IsMinus ? PyNumber.Negate(value) : PyNumber.Negate(PyNumber.Negate(value));
    }

    private object? EvaluateConditional(Conditional conditional, Scope scope)
    {
        if (PyType.IsTrue(Evaluate(conditional.Condition, scope)))
            return Evaluate(conditional.Value, scope);
        return conditional.Otherwise is null
            ? new Undefined("the inline if-expression evaluated to false and no else section was defined")
            : Evaluate(conditional.Otherwise, scope);
    }

    private object EvaluateComparison(Comparison comparison, Scope scope)
    {
        object? left = Evaluate(comparison.First, scope);
        foreach ((string sign, Expression operand) in comparison.Rest)
        {
            object? right = Evaluate(operand, scope);
            if (!PyCompare.Compare(sign, left, right, Budget))
                return false;
            left = right;
        }
        return true;
    }

    private object? Invoke(Call call, Scope scope, KeyValuePair<string, object?>? extra = null)
    {
        object? target = Evaluate(call.Target, scope);
        Arguments arguments = EvaluateArguments(call.Arguments, scope, extra);
        int line = Line = call.Line;
        object? result = target switch
        {
            PyFunction function => function.Invoke(this, arguments),
            LoopContext loop => loop.Recurse(arguments),
            Undefined undefined => throw undefined.Fail(),
            _ => throw new TemplateException($"'{PyType.NameOf(target)}' object is not callable"),
        };
        Line = line;
        return result;
    }

    private object? Apply(FilterUse filter, object? value, Scope scope)
    {
        Arguments arguments = EvaluateArguments(filter.Arguments, scope);
        Line = filter.Line;
        return Filters.Apply(this, filter.Name, value, arguments);
    }

    private object Test(Tested tested, Scope scope)
    {
        object? value = Evaluate(tested.Input, scope);
        Arguments arguments = EvaluateArguments(tested.Arguments, scope);
        Line = tested.Line;
        return Tests.Apply(this, tested.Name, value, arguments);
    }

    private Arguments EvaluateArguments(CallArguments call, Scope scope, KeyValuePair<string, object?>? extra = null)
    {
        if (call == CallArguments.None && extra is null)
            return Arguments.None;
        List<object?> positional = [.. EvaluateAll(call.Positional, scope)];
        List<KeyValuePair<string, object?>> named = [];
        foreach ((string name, Expression value) in call.Named)
            named.Add(new(name, Evaluate(value, scope)));
        if (call.MorePositional is not null)
            positional.AddRange(PyType.Iterate(Evaluate(call.MorePositional, scope)));
        if (call.MoreNamed is not null)
        {
            if (Evaluate(call.MoreNamed, scope) is not PyDict more)
                throw new TemplateException("the argument after ** must be a mapping");
            foreach ((object? name, object? value) in more)
                named.Add(new(name as string ?? throw new TemplateException("keywords must be strings"), value));
        }
        if (extra is { } last)
            named.Add(last);
        return new Arguments(positional, named);
    }
}
