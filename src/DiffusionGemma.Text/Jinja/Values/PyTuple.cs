namespace DiffusionGemma.Jinja;

/// <summary>Python's tuple.</summary>
internal sealed class PyTuple(params IReadOnlyList<object?> items) : PySequence
{
    public override int Count => items.Count;

    public override object? this[int index] => items[index];

    public override string TypeName => "tuple";

    public override PySequence With(IReadOnlyList<object?> items) => new PyTuple(items);
}
