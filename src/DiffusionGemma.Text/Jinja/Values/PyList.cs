namespace DiffusionGemma.Jinja;

/// <summary>Python's list.</summary>
internal sealed class PyList(IReadOnlyList<object?> items) : PySequence
{
    public override int Count => items.Count;

    public override object? this[int index] => items[index];

    public override string TypeName => "list";
}
