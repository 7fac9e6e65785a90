using DiffusionGemma.Text.Jinja.Values;

namespace DiffusionGemma.Text.Jinja.Library;

/// <summary>A filter: the value on the left of the bar, and the arguments in the parentheses.</summary>
internal delegate object? Filter(Interpreter interpreter, object? value, Arguments arguments);

/// <summary>Jinja's filters by name.</summary>
internal static class Filters
{
    private static readonly Dictionary<string, Filter> s_all = new([.. ValueFilters.All, .. TextFilters.All, .. SequenceFilters.All], StringComparer.Ordinal);

    public static bool Exists(string name) => s_all.ContainsKey(name);

    public static object? Apply(Interpreter interpreter, string name, object? value, Arguments arguments) =>
        s_all.TryGetValue(name, out Filter? filter) ? filter(interpreter, value, arguments) : throw new TemplateException($"no filter named '{name}'");
}
