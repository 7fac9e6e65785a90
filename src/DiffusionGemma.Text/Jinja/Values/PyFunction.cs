namespace DiffusionGemma.Jinja;

/// <summary>Something that can be called: a global, a method of a value, a macro.</summary>
internal sealed class PyFunction(string name, Func<Interpreter, Arguments, object?> invoke)
{
    public string Name => name;

    /// <summary>Of a macro, what its caller may read of it.</summary>
    public MacroInfo? Macro { get; init; }

    public object? Invoke(Interpreter interpreter, Arguments arguments) => invoke(interpreter, arguments);
}
