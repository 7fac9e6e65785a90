namespace DiffusionGemma.Jinja;

/// <summary>Executes a template once. Statements are in this file, expressions in the other.</summary>
internal sealed partial class Interpreter(TimeProvider clock)
{
    private enum Flow { Next, Break, Continue }

    public Budget Budget { get; } = new();

    public TimeProvider Clock => clock;

    /// <summary>The line being executed, for messages.</summary>
    public int Line { get; private set; }

    public TextOutput Render(Block template, IEnumerable<KeyValuePair<string, object?>> variables)
    {
        Scope globals = new(null);
        foreach ((string name, object? value) in Globals.All)
            globals.Set(name, value);
        foreach ((string name, object? value) in variables)
            globals.Set(name, value);
        TextOutput page = new(Budget, isPage: true);
        Execute(template, new Scope(globals), page);
        return page;
    }

    private Flow Execute(Block block, Scope scope, TextOutput output)
    {
        Budget.CheckStack();
        foreach (Statement statement in block.Statements)
        {
            Line = statement.Line;
            Budget.Step();
            Flow flow = Execute(statement, scope, output);
            if (flow != Flow.Next)
                return flow;
        }
        return Flow.Next;
    }

    private Flow Execute(Statement statement, Scope scope, TextOutput output)
    {
        switch (statement)
        {
            case TextStatement text:
                output.Write(text.Text);
                return Flow.Next;
            case PrintStatement print:
                output.Write(PyText.Str(Evaluate(print.Value, scope), Budget));
                return Flow.Next;
            case IfStatement choice:
                foreach ((Expression condition, Block body) in choice.Branches)
                {
                    if (PyType.IsTrue(Evaluate(condition, scope)))
                        return Execute(body, scope, output);
                }
                return Execute(choice.Otherwise, scope, output);
            case ForStatement loop:
                return RunLoop(loop, Evaluate(loop.Items, scope), depth: 0, scope, output);
            case SetStatement set:
                Assign(set.Target, Evaluate(set.Value, scope), scope);
                return Flow.Next;
            case SetBlockStatement set:
                Assign(set.Target, ApplyAll(set.Filters, Capture(set.Body, new Scope(scope)), scope), scope);
                return Flow.Next;
            case MacroStatement macro:
                scope.Set(macro.Macro.Name, Macros.Create(this, macro.Macro, scope));
                return Flow.Next;
            case CallStatement call:
                PyFunction caller = Macros.Create(this, call.Caller, scope);
                output.Write(PyText.Str(Invoke(call.Call, scope, new("caller", caller)), Budget));
                return Flow.Next;
            case FilterStatement filter:
                output.Write(PyText.Str(ApplyAll(filter.Filters, Capture(filter.Body, new Scope(scope)), scope), Budget));
                return Flow.Next;
            case WithStatement with:
                Scope inner = new(scope);
                foreach ((Target target, Expression value) in with.Values)
                    Assign(target, Evaluate(value, scope), inner);
                return Execute(with.Body, inner, output);
            case GenerationStatement generation:
                output.WriteGenerated(() => Execute(generation.Body, new Scope(scope), output));
                return Flow.Next;
            case BreakStatement:
                return Flow.Break;
            case ContinueStatement:
                return Flow.Continue;
            default:
                throw new InvalidOperationException($"No way to carry out {statement.GetType().Name}.");
        }
    }

    private Flow RunLoop(ForStatement loop, object? iterable, int depth, Scope scope, TextOutput output)
    {
        List<object?> items = [];
        foreach (object? item in PyType.Iterate(iterable))
        {
            Budget.Step();
            if (loop.Condition is null || IsWanted(loop, loop.Condition, item, scope))
                items.Add(item);
        }
        if (items.Count == 0)
            return Execute(loop.Otherwise, new Scope(scope), output);

        Func<object?, int, string>? recurse = loop.IsRecursive ? (inner, innerDepth) => CaptureLoop(loop, inner, innerDepth, scope) : null;
        LoopContext context = new(items, depth, recurse);
        for (int i = 0; i < items.Count; i++)
        {
            // What one round sets is gone in the next.
            Scope round = new(scope);
            context.Index = i;
            round.Set("loop", context);
            Assign(loop.Target, items[i], round);
            if (Execute(loop.Body, round, output) == Flow.Break)
                break;
        }
        return Flow.Next;
    }

    private bool IsWanted(ForStatement loop, Expression condition, object? item, Scope scope)
    {
        Scope test = new(scope);
        Assign(loop.Target, item, test);
        return PyType.IsTrue(Evaluate(condition, test));
    }

    private string CaptureLoop(ForStatement loop, object? iterable, int depth, Scope scope)
    {
        Budget.Enter();
        TextOutput output = new(Budget, isPage: false);
        RunLoop(loop, iterable, depth, scope, output);
        Budget.Leave();
        return output.ToString();
    }

    /// <summary>Renders a block to a text.</summary>
    public string Capture(Block block, Scope scope)
    {
        TextOutput output = new(Budget, isPage: false);
        Execute(block, scope, output);
        return output.ToString();
    }

    private void Assign(Target target, object? value, Scope scope)
    {
        switch (target)
        {
            case NameTarget name:
                scope.Set(name.Name, value);
                break;
            case AttributeTarget attribute:
                if (scope.Get(attribute.Name) is not PyNamespace space)
                    throw new TemplateException("cannot assign attribute on non-namespace object");
                space.Attributes[attribute.Attribute] = value;
                break;
            case TupleTarget tuple:
                List<object?> values = [.. PyType.Iterate(value is Undefined undefined ? throw undefined.Fail() : value)];
                if (values.Count != tuple.Items.Count)
                    throw new TemplateException($"expected {tuple.Items.Count} values to unpack, got {values.Count}");
                for (int i = 0; i < values.Count; i++)
                    Assign(tuple.Items[i], values[i], scope);
                break;
        }
    }

    private object? ApplyAll(IReadOnlyList<FilterUse> filters, object? value, Scope scope)
    {
        foreach (FilterUse filter in filters)
            value = Apply(filter, value, scope);
        return value;
    }
}
