namespace DiffusionGemma.Jinja;

/// <summary>Jinja's filters by name.</summary>
internal static class Filters
{
    private static readonly Dictionary<string, Filter> All =
        new([.. ValueFilters.All, .. TextFilters.All, .. SequenceFilters.All], StringComparer.Ordinal);

    public static bool Exists(string name) => All.ContainsKey(name);

    public static object? Apply(Interpreter interpreter, string name, object? value, Arguments arguments) =>
        All.TryGetValue(name, out Filter? filter)
            ? filter(interpreter, value, arguments) : throw new TemplateException($"no filter named '{name}'");
}
