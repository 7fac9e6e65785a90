namespace DiffusionGemma.Jinja;

/// <summary>Macros as callable values.</summary>
internal static class Macros
{
    private const string Caller = "caller";
    private const string MorePositional = "varargs";
    private const string MoreNamed = "kwargs";

    public static PyFunction Create(Interpreter interpreter, MacroDefinition macro, Scope definedIn)
    {
        string[] parameters = [.. macro.Parameters.Select(parameter => parameter.Name)];
        MacroInfo info = new(
            parameters,
            TakesCaller: macro.MentionedNames.Contains(Caller) && !parameters.Contains(Caller),
            TakesMorePositional: macro.MentionedNames.Contains(MorePositional),
            TakesMoreNamed: macro.MentionedNames.Contains(MoreNamed));
        return new PyFunction(macro.Name, (_, arguments) => Run(interpreter, macro, info, definedIn, arguments)) { Macro = info };
    }

    private static string Run(Interpreter interpreter, MacroDefinition macro, MacroInfo info, Scope definedIn, Arguments arguments)
    {
        interpreter.Budget.Enter();
        Scope scope = new(definedIn);
        Bind(interpreter, macro, info, scope, arguments);
        string text = interpreter.Capture(macro.Body, scope);
        interpreter.Budget.Leave();
        return text;
    }

    private static void Bind(Interpreter interpreter, MacroDefinition macro, MacroInfo info, Scope scope, Arguments arguments)
    {
        int count = macro.Parameters.Count;
        if (arguments.Positional.Count > count && !info.TakesMorePositional)
            throw new TemplateException($"macro '{macro.Name}' takes not more than {count} argument(s)");

        PyDict rest = [];
        foreach ((string name, object? value) in arguments.Named)
            rest[name] = value;
        HashSet<object?> taken = [];
        for (int i = 0; i < count; i++)
        {
            (string name, Expression? fallback) = macro.Parameters[i];
            bool isNamed = rest.TryGet(name, out object? value);
            if (i < arguments.Positional.Count)
            {
                if (isNamed)
                    throw new TemplateException($"macro '{macro.Name}' got multiple values for argument '{name}'");
                value = arguments.Positional[i];
            }
            else if (!isNamed)
            {
                value = fallback is null ? new Undefined($"parameter '{name}' was not provided") : interpreter.Evaluate(fallback, scope);
            }
            taken.Add(name);
            scope.Set(name, value);
        }
        BindRest(macro, info, scope, arguments, rest, taken);
    }

    private static void BindRest(
        MacroDefinition macro, MacroInfo info, Scope scope, Arguments arguments, PyDict named, HashSet<object?> taken)
    {
        PyDict left = [];
        foreach ((object? name, object? value) in named)
        {
            if (!taken.Contains(name) && !(info.TakesCaller && Equals(name, Caller)))
                left[name] = value;
        }
        if (info.TakesCaller)
            scope.Set(Caller, named.TryGet(Caller, out object? caller) ? caller : new Undefined("No caller defined"));
        if (info.TakesMoreNamed)
            scope.Set(MoreNamed, left);
        else if (left.Count > 0)
            throw new TemplateException($"macro '{macro.Name}' takes no keyword argument '{left.Keys.First()}'");
        if (info.TakesMorePositional)
            scope.Set(MorePositional, new PyTuple([.. arguments.Positional.Skip(macro.Parameters.Count)]));
    }
}
