namespace DiffusionGemma.Jinja;

/// <summary>All texts inside a value that came from JSON.</summary>
internal static class PyTexts
{
    /// <summary>The same value with other texts, those of its names included.</summary>
    public static object? Change(object? value, Func<string, string> change) => value switch
    {
        string text => change(text),
        PySequence sequence => sequence.With([.. sequence.Select(item => Change(item, change))]),
        PyDict dict => ChangeDict(dict, change),
        _ => value,
    };

    /// <summary>The texts of a value, those of its names included.</summary>
    public static IEnumerable<string> In(object? value) => value switch
    {
        string text => [text],
        PySequence sequence => sequence.SelectMany(In),
        PyDict dict => dict.SelectMany(item => In(item.Key).Concat(In(item.Value))),
        _ => [],
    };

    private static PyDict ChangeDict(PyDict dict, Func<string, string> change)
    {
        PyDict changed = [];
        foreach ((object? name, object? value) in dict)
            changed[Change(name, change)] = Change(value, change);
        return changed;
    }
}
