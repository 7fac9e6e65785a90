using System.Collections;

namespace DiffusionGemma.Jinja;

/// <summary>Python's generator: it can be iterated once, has no length, and is always true.</summary>
internal sealed class PyIterator(IEnumerable<object?> items) : IEnumerable<object?>
{
    private readonly IEnumerator<object?> _rest = items.GetEnumerator();

    public IEnumerator<object?> GetEnumerator()
    {
        while (_rest.MoveNext())
            yield return _rest.Current;
    }

    IEnumerator IEnumerable.GetEnumerator() => GetEnumerator();
}
