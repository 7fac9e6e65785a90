using System.Runtime.InteropServices;

namespace DiffusionGemma;

/// <summary>The transitions of a deterministic automaton, state by state as they are found.</summary>
internal sealed class StateTable(int symbols)
{
    private readonly List<int> _next = [];
    private readonly List<bool> _isFinal = [];

    public int Start => 0;

    public int States => _isFinal.Count;

    /// <summary>[states · symbols], -1 where there is no transition. Valid until the next <see cref="Add"/>.</summary>
    public ReadOnlySpan<int> Next => CollectionsMarshal.AsSpan(_next);

    public IReadOnlyList<bool> IsFinal => _isFinal;

    public int Add(bool isFinal)
    {
        _isFinal.Add(isFinal);
        int from = _next.Count;
        CollectionsMarshal.SetCount(_next, from + symbols);
        CollectionsMarshal.AsSpan(_next)[from..].Fill(-1);
        return _isFinal.Count - 1;
    }

    public void Connect(int from, int symbol, int to) => _next[from * symbols + symbol] = to;
}
