using System.Collections;

namespace DiffusionGemma.Text.Jinja.Values;

/// <summary>Python's list, tuple or range. Never changed once a template sees it.</summary>
internal abstract class PySequence : IReadOnlyList<object?>
{
    public abstract int Count { get; }

    public abstract object? this[int index] { get; }

    public abstract string TypeName { get; }

    public IEnumerator<object?> GetEnumerator()
    {
        for (int i = 0; i < Count; i++)
            yield return this[i];
    }

    IEnumerator IEnumerable.GetEnumerator() => GetEnumerator();

    /// <summary>A sequence of the same kind with other items.</summary>
    public virtual PySequence With(IReadOnlyList<object?> items) => new PyList(items);
}

internal sealed class PyList(IReadOnlyList<object?> items) : PySequence
{
    public override int Count => items.Count;

    public override object? this[int index] => items[index];

    public override string TypeName => "list";
}

internal sealed class PyTuple(params IReadOnlyList<object?> items) : PySequence
{
    public override int Count => items.Count;

    public override object? this[int index] => items[index];

    public override string TypeName => "tuple";

    public override PySequence With(IReadOnlyList<object?> items) => new PyTuple(items);
}

internal sealed class PyRange(long start, long step, int count) : PySequence
{
    public override int Count => count;

    public override object? this[int index] => start + (index * step);

    public override string TypeName => "range";

    public override string ToString() =>
        step == 1 ? $"range({start}, {start + count})" : $"range({start}, {start + (count * step)}, {step})";
}
