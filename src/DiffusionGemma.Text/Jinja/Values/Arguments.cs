namespace DiffusionGemma.Jinja;

/// <summary>Arguments of a call to a function, filter or test.</summary>
internal sealed record Arguments(IReadOnlyList<object?> Positional, IReadOnlyList<KeyValuePair<string, object?>> Named)
{
    public static Arguments None { get; } = new([], []);

    /// <summary>Stands where an argument was not given.</summary>
    public static object Missing { get; } = new();

    public int Count => Positional.Count + Named.Count;

    /// <summary>The arguments in the order of <paramref name="names"/>, as Python binds them.</summary>
    /// <param name="function">For messages.</param>
    /// <param name="required">How many of the names must be given; the others may be <see cref="Missing"/>.</param>
    /// <param name="names">Of the parameters.</param>
    public object?[] Bind(string function, int required, params string[] names)
    {
        if (Positional.Count > names.Length)
            throw new TemplateException($"{function}() takes at most {names.Length} argument(s) ({Positional.Count} given)");
        object?[] bound = new object?[names.Length];
        Array.Fill(bound, Missing);
        for (int i = 0; i < Positional.Count; i++)
            bound[i] = Positional[i];
        foreach ((string name, object? value) in Named)
        {
            int place = Array.IndexOf(names, name);
            if (place < 0)
                throw new TemplateException($"{function}() got an unexpected keyword argument '{name}'");
            if (bound[place] != Missing)
                throw new TemplateException($"{function}() got multiple values for argument '{name}'");
            bound[place] = value;
        }
        for (int i = 0; i < required; i++)
        {
            if (bound[i] == Missing)
                throw new TemplateException($"{function}() is missing its argument '{names[i]}'");
        }
        return bound;
    }

    /// <summary>Without the first positional arguments.</summary>
    public Arguments Skip(int count) => this with { Positional = [.. Positional.Skip(count)] };
}
