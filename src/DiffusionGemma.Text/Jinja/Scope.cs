namespace DiffusionGemma.Jinja;

/// <summary>Names and their values; what isn't found here is looked for outside.</summary>
internal sealed class Scope(Scope? outer)
{
    private readonly Dictionary<string, object?> _values = new(StringComparer.Ordinal);

    public object? Get(string name)
    {
        for (Scope? scope = this; scope is not null; scope = scope.Outer)
        {
            if (scope._values.TryGetValue(name, out object? value))
                return value;
        }
        return Undefined.Name(name);
    }

    public void Set(string name, object? value) => _values[name] = value;

    private Scope? Outer => outer;
}
