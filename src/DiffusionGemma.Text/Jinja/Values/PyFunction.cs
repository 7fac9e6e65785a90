namespace DiffusionGemma.Jinja;

/// <summary>A callable value: a global, a method of a value, or a macro.</summary>
internal sealed class PyFunction(string name, Func<Interpreter, Arguments, object?> invoke)
{
    public string Name => name;

    /// <summary>The macro's signature; null for other functions.</summary>
    public MacroInfo? Macro { get; init; }

    public object? Invoke(Interpreter interpreter, Arguments arguments) => invoke(interpreter, arguments);
}
