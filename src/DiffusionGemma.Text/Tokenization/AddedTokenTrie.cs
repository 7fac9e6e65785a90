using System.Buffers;

namespace DiffusionGemma;

/// <summary>Finds added tokens in raw text: the leftmost, and of those the longest.</summary>
internal sealed class AddedTokenTrie
{
    private readonly Node _root = new();
    private readonly SearchValues<char> _firstCharacters;

    public AddedTokenTrie(IReadOnlyList<AddedToken> tokens)
    {
        foreach (AddedToken token in tokens)
        {
            Node node = _root;
            foreach (char character in token.Content)
            {
                if (!node.Children.TryGetValue(character, out Node? child))
                    node.Children[character] = child = new Node();
                node = child;
            }
            node.Id = token.Id;
        }
        _firstCharacters = SearchValues.Create([.. _root.Children.Keys]);
    }

    /// <summary>
    /// The first added token at or after <paramref name="from"/>, but for those that begin at a barred place; false when there is none.
    /// </summary>
    public bool TryFind(ReadOnlySpan<char> text, int from, HashSet<int>? barred, out int start, out int length, out int id)
    {
        for (start = from; TryFindStart(text, start, out start); start++)
        {
            if (barred?.Contains(start) != true && TryMatch(text[start..], out length, out id))
                return true;
        }
        (start, length, id) = (text.Length, 0, -1);
        return false;
    }

    /// <summary>The first place at or after <paramref name="from"/> whose character begins some token.</summary>
    public bool TryFindStart(ReadOnlySpan<char> text, int from, out int start)
    {
        int step = from < text.Length ? text[from..].IndexOfAny(_firstCharacters) : -1;
        start = step < 0 ? text.Length : from + step;
        return step >= 0;
    }

    /// <summary>The longest token that the text begins with.</summary>
    public bool TryMatch(ReadOnlySpan<char> text, out int length, out int id)
    {
        (length, id) = (0, -1);
        Node? node = _root;
        for (int at = 0; at < text.Length && node.Children.TryGetValue(text[at], out node); at++)
        {
            if (node.Id >= 0)
                (length, id) = (at + 1, node.Id);
        }
        return id >= 0;
    }

    private sealed class Node
    {
        public int Id { get; set; } = -1;

        public Dictionary<char, Node> Children { get; } = [];
    }
}
