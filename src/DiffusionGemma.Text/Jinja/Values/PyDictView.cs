using System.Collections;

namespace DiffusionGemma.Jinja;

/// <summary>Result of dict.keys(), values() or items(): it has a length and can be iterated, but not indexed.</summary>
/// <param name="Name">As Python prints it: dict_keys, dict_values or dict_items.</param>
/// <param name="Items">Its items.</param>
internal sealed record PyDictView(string Name, IReadOnlyList<object?> Items) : IReadOnlyCollection<object?>
{
    public int Count => Items.Count;

    public static PyDictView ItemsOf(PyDict dict) => new("dict_items", PairsOf(dict));

    /// <summary>Tuples of key and value.</summary>
    public static IReadOnlyList<object?> PairsOf(PyDict dict) => [.. dict.Select(item => new PyTuple(item.Key, item.Value))];

    public IEnumerator<object?> GetEnumerator() => Items.GetEnumerator();

    IEnumerator IEnumerable.GetEnumerator() => GetEnumerator();
}
