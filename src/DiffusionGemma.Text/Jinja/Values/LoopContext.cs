namespace DiffusionGemma.Jinja;

/// <summary>The variable <c>loop</c> inside a loop.</summary>
internal sealed class LoopContext(IReadOnlyList<object?> items, int depth, Func<object?, int, string>? recurse)
{
    private object? _lastSeen = Arguments.Missing;

    public IReadOnlyList<object?> Items => items;

    public int Index { get; set; }

    public bool IsRecursive => recurse is not null;

    public object? Attribute(string name) => name switch
    {
        "index" => Index + 1L,
        "index0" => (long)Index,
        "first" => Index == 0,
        "last" => Index == items.Count - 1,
        "length" => (long)items.Count,
        "revindex" => (long)(items.Count - Index),
        "revindex0" => (long)(items.Count - Index - 1),
        "previtem" => Index > 0 ? items[Index - 1] : new Undefined("there is no previous item"),
        "nextitem" => Index + 1 < items.Count ? items[Index + 1] : new Undefined("there is no next item"),
        "depth" => depth + 1L,
        "depth0" => (long)depth,
        "cycle" => new PyFunction("cycle", (_, arguments) => arguments.Positional.Count > 0
            ? arguments.Positional[Index % arguments.Positional.Count] : throw new TemplateException("no items for cycling given")),
        "changed" => new PyFunction(
            "changed", (interpreter, arguments) => HasChanged(new PyTuple(arguments.Positional), interpreter.Budget)),
        _ => Undefined.Attribute(this, name),
    };

    /// <summary><c>loop(items)</c>: the same loop over other items, one level deeper.</summary>
    public object? Recurse(Arguments arguments)
    {
        if (recurse is null)
            throw new TemplateException("The loop must have the 'recursive' marker to be called recursively.");
        return recurse(arguments.Bind("loop", 1, "iterable")[0], depth + 1);
    }

    private bool HasChanged(PyTuple value, Budget budget)
    {
        bool changed = _lastSeen is not PyTuple last || !PyCompare.AreEqual(last, value, budget);
        _lastSeen = value;
        return changed;
    }
}
