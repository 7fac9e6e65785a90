namespace DiffusionGemma;

/// <summary>
/// Divides the states of a deterministic automaton into blocks of equal ones (Hopcroft's algorithm): two states are equal where the same
/// strings lead from both to a final one.
/// </summary>
/// <remarks>States are [0,n), kinds of symbols [0,k). A missing transition leads nowhere, and nowhere is no block.</remarks>
internal sealed class StatePartition
{
    private readonly int _kinds;

    /// <summary>[k·(n+1)]: where the states begin that a kind of symbol leads from to a state.</summary>
    private readonly int[] _starts;

    /// <summary>[k·n]: those states.</summary>
    private readonly int[] _sources;

    /// <summary>[n]: the states, those of a block beside each other; and where each state stands.</summary>
    private readonly int[] _order, _places;

    private readonly int[] _blocks;
    private readonly List<(int First, int Count)> _parts = [];
    private readonly Stack<int> _waiting = new();

    /// <summary>[blocks]: states of the block that the present step has moved to its front.</summary>
    private readonly List<int> _moved = [];

    /// <param name="isFinal">[n].</param>
    /// <param name="kinds">k.</param>
    /// <param name="next">The state after a state and a kind of symbol; -1: none.</param>
    public StatePartition(bool[] isFinal, int kinds, Func<int, int, int> next)
    {
        int states = isFinal.Length;
        (_kinds, _starts, _sources) = (kinds, new int[kinds * (states + 1)], new int[kinds * states]);
        int[] targets = new int[states];
        for (int kind = 0; kind < kinds; kind++)
        {
            Span<int> starts = _starts.AsSpan(kind * (states + 1), states + 1), sources = _sources.AsSpan(kind * states, states);
            for (int state = 0; state < states; state++)
                if ((targets[state] = next(state, kind)) >= 0) starts[targets[state] + 1]++;
            for (int state = 0; state < states; state++) starts[state + 1] += starts[state];
            for (int state = states - 1; state >= 0; state--)
                if (targets[state] >= 0) sources[--starts[targets[state] + 1]] = state;
            // Each start has become that of the state before it.
            for (int state = 0; state < states; state++) starts[state] = starts[state + 1];
            starts[states] = targets.Count(to => to >= 0);
        }
        _order = [.. Enumerable.Range(0, states).OrderBy(state => isFinal[state])];
        _places = new int[states];
        for (int place = 0; place < states; place++) _places[_order[place]] = place;
        _blocks = new int[states];
        int others = isFinal.Count(final => !final);
        if (others > 0) AddBlock(0, others);
        if (others < states) AddBlock(others, states - others);
    }

    /// <summary>Divides blocks until each leads to one block by each symbol.</summary>
    /// <returns>[n]: each state's block.</returns>
    public int[] Refine()
    {
        List<int> touched = [];
        while (_waiting.TryPop(out int block))
        {
            // A copy: the block itself may be divided on the way.
            int[] members = _order.AsSpan(_parts[block].First, _parts[block].Count).ToArray();
            for (int kind = 0; kind < _kinds; kind++)
            {
                foreach (int member in members)
                    foreach (int source in Sources(kind, member)) Move(source, touched);
                foreach (int divided in touched) Divide(divided);
                touched.Clear();
            }
        }
        return _blocks;
    }

    private ReadOnlySpan<int> Sources(int kind, int state)
    {
        int states = _places.Length, at = kind * (states + 1) + state;
        return _sources.AsSpan(kind * states + _starts[at], _starts[at + 1] - _starts[at]);
    }

    /// <summary>Moves a state to the front of its block.</summary>
    private void Move(int state, List<int> touched)
    {
        int block = _blocks[state], place = _places[state], front = _parts[block].First + _moved[block];
        if (_moved[block]++ == 0) touched.Add(block);
        int other = _order[front];
        (_order[front], _order[place]) = (state, other);
        (_places[state], _places[other]) = (front, place);
    }

    /// <summary>Makes the smaller one of the moved states and the others a block of its own.</summary>
    private void Divide(int block)
    {
        (int first, int count) = _parts[block];
        int moved = _moved[block];
        _moved[block] = 0;
        if (moved == count) return;
        bool takesFront = moved <= count - moved;
        _parts[block] = takesFront ? (first + moved, count - moved) : (first, moved);
        AddBlock(takesFront ? first : first + moved, takesFront ? moved : count - moved);
    }

    /// <summary>Adds a block, which waits to divide others.</summary>
    private void AddBlock(int first, int count)
    {
        int block = _parts.Count;
        _parts.Add((first, count));
        _moved.Add(0);
        _waiting.Push(block);
        foreach (int state in _order.AsSpan(first, count)) _blocks[state] = block;
    }
}
