using System.Runtime.InteropServices;

namespace DiffusionGemma;

/// <summary>
/// The states of a deterministic automaton, and their transitions by ranges of symbols: most states have few. The first state is the
/// start.
/// </summary>
internal sealed class StateTable
{
    private readonly List<bool> _isFinal = [];

    /// <summary>Those of one state beside each other.</summary>
    private readonly List<SymbolTransition> _transitions = [];

    /// <summary>[states]: where a state's transitions are.</summary>
    private readonly List<(int First, int Count)> _rows = [];

    public int Start => 0;

    public int States => _isFinal.Count;

    public int Transitions => _transitions.Count;

    public IReadOnlyList<bool> IsFinal => _isFinal;

    /// <summary>A state's transitions in the order of their symbols. Valid until the next <see cref="Connect"/>.</summary>
    public ReadOnlySpan<SymbolTransition> From(int state) =>
        CollectionsMarshal.AsSpan(_transitions).Slice(_rows[state].First, _rows[state].Count);

    public int Add(bool isFinal)
    {
        _isFinal.Add(isFinal);
        _rows.Add((0, 0));
        return _isFinal.Count - 1;
    }

    /// <summary>Adds a transition. Those of one state are added one after the other, in the order of their symbols.</summary>
    public void Connect(int from, int first, int last, int to)
    {
        (int start, int count) = _rows[from];
        if (count == 0) start = _transitions.Count;
        if (start + count != _transitions.Count || count > 0 && _transitions[^1].Last >= first)
            throw new InvalidOperationException($"Transitions of state {from} are added out of order.");
        if (count > 0 && _transitions[^1] is var before && before.To == to && before.Last == first - 1)
        {
            _transitions[^1] = before with { Last = last };
            return;
        }
        _transitions.Add(new SymbolTransition(first, last, to));
        _rows[from] = (start, count + 1);
    }

    /// <summary>[states · symbols]: the state after each symbol; -1: none.</summary>
    public int[] ToDense(int symbols)
    {
        int[] next = new int[States * symbols];
        Array.Fill(next, -1);
        for (int state = 0; state < States; state++)
            foreach (SymbolTransition transition in From(state))
                next.AsSpan(state * symbols + transition.First, transition.Last - transition.First + 1).Fill(transition.To);
        return next;
    }
}
