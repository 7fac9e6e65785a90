namespace DiffusionGemma;

/// <summary>A value of a recipe with its place: a scalar's text, a list, or a section of keys.</summary>
internal sealed class RecipeNode
{
    private readonly List<RecipeNode> _items = [];
    private readonly Dictionary<string, RecipeNode> _entries = new(StringComparer.Ordinal);
    private readonly List<string> _order = [];

    private RecipeNode(RecipeNodeKind kind, int? line, string text, bool isPlain) =>
        (Kind, Line, Text, IsPlain) = (kind, line, text, isPlain);

    public RecipeNodeKind Kind { get; }

    /// <summary>The line of the file, from 1; null: an override.</summary>
    public int? Line { get; }

    /// <summary>A scalar's text, without quotes.</summary>
    public string Text { get; }

    /// <summary>True for a scalar without quotes, which may stand for a number, a truth value or nothing.</summary>
    public bool IsPlain { get; }

    /// <summary>A list's items.</summary>
    public IReadOnlyList<RecipeNode> Items => _items;

    /// <summary>A section's keys, in the order of the file.</summary>
    public IReadOnlyList<string> Keys => _order;

    public static RecipeNode Scalar(string text, bool isPlain, int? line) => new(RecipeNodeKind.Scalar, line, text, isPlain);

    public static RecipeNode List(int? line) => new(RecipeNodeKind.List, line, "", isPlain: false);

    public static RecipeNode Section(int? line) => new(RecipeNodeKind.Section, line, "", isPlain: false);

    public void Add(RecipeNode item) => _items.Add(item);

    /// <returns>False if the section has the key already; it is left as it was.</returns>
    public bool TryAdd(string key, RecipeNode value)
    {
        if (!_entries.TryAdd(key, value))
            return false;
        _order.Add(key);
        return true;
    }

    /// <summary>Sets a key, new or not.</summary>
    public void Set(string key, RecipeNode value)
    {
        if (!_entries.ContainsKey(key))
            _order.Add(key);
        _entries[key] = value;
    }

    /// <summary>A section with the same keys, whose values are shared.</summary>
    public RecipeNode Copy()
    {
        RecipeNode copy = Section(Line);
        foreach (string key in _order)
            copy.TryAdd(key, _entries[key]);
        return copy;
    }

    public RecipeNode? Find(string key) => _entries.GetValueOrDefault(key);
}
