using System.Collections;

namespace DiffusionGemma.Jinja;

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
