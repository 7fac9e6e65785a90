using System.Collections;

namespace DiffusionGemma.Jinja;

/// <summary>Python's dict: keeps the order of insertion, and its keys compare as Python's do.</summary>
internal sealed class PyDict : IEnumerable<KeyValuePair<object?, object?>>
{
    private readonly Dictionary<PyKey, int> _places = [];
    private readonly List<KeyValuePair<object?, object?>> _items = [];

    public int Count => _items.Count;

    public IEnumerable<object?> Keys => _items.Select(item => item.Key);

    public IEnumerable<object?> Values => _items.Select(item => item.Value);

    /// <summary>Sets the value; a key that is there already keeps its place and spelling.</summary>
    public object? this[object? key]
    {
        set
        {
            if (_places.TryGetValue(new PyKey(key), out int place))
            {
                _items[place] = new(_items[place].Key, value);
                return;
            }
            _places.Add(new PyKey(key), _items.Count);
            _items.Add(new(key, value));
        }
    }

    public bool TryGet(object? key, out object? value)
    {
        bool found = _places.TryGetValue(new PyKey(key), out int place);
        value = found ? _items[place].Value : null;
        return found;
    }

    public PyDict Copy()
    {
        PyDict copy = [];
        foreach ((object? key, object? value) in this)
            copy[key] = value;
        return copy;
    }

    public void Add(object? key, object? value) => this[key] = value;

    public IEnumerator<KeyValuePair<object?, object?>> GetEnumerator() => _items.GetEnumerator();

    IEnumerator IEnumerable.GetEnumerator() => GetEnumerator();
}
