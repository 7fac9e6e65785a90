using DiffusionGemma.Jinja;

namespace DiffusionGemma;

/// <summary>Values of a row by their path, such as <c>messages[1].tool_calls[0].id</c>.</summary>
internal static class RowValues
{
    /// <summary>The value and all values in it, outermost first.</summary>
    public static IEnumerable<(string Path, object? Value)> Walk(string path, object? value)
    {
        yield return (path, value);
        IEnumerable<(string Path, object? Value)> inner = value switch
        {
            PySequence sequence => sequence.Select((item, i) => ($"{path}[{i}]", item)),
            PyDict dict => dict.Select(item => ($"{path}.{item.Key}", item.Value)),
            _ => [],
        };
        foreach ((string innerPath, object? innerValue) in inner)
        {
            foreach ((string, object?) found in Walk(innerPath, innerValue))
                yield return found;
        }
    }

    /// <summary>A copy in which every value is replaced by what the function makes of it, outermost first.</summary>
    public static object? Change(string path, object? value, Func<string, object?, object?> change)
    {
        object? changed = change(path, value);
        if (!ReferenceEquals(changed, value))
            return changed;
        switch (value)
        {
            case PySequence sequence:
                return sequence.With([.. sequence.Select((item, i) => Change($"{path}[{i}]", item, change))]);
            case PyDict dict:
                PyDict copy = [];
                foreach ((object? key, object? item) in dict)
                    copy[key] = Change($"{path}.{key}", item, change);
                return copy;
            default:
                return value;
        }
    }
}
