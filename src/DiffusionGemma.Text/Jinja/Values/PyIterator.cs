using System.Collections;

namespace DiffusionGemma.Jinja;

/// <summary>Python's generator: can be gone through once, has no length, and is true however many items it would give.</summary>
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
