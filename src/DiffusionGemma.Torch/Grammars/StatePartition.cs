namespace DiffusionGemma;

/// <summary>
/// Divides the states of a deterministic automaton into blocks of equal ones (Hopcroft's algorithm): two states are equal where the same
/// strings lead from both to a final one.
/// </summary>
/// <remarks>States are [0,n), kinds of symbols [0,k). A missing transition leads nowhere, and nowhere is no block.</remarks>
internal sealed class StatePartition
{
    private readonly int _kinds;

    /// <summary>The edges, those to one state beside each other; and [n+1]: where those to each state begin.</summary>
    private readonly (int Kind, int From)[] _edges;
    private readonly int[] _starts;

    /// <summary>[n]: the states, those of a block beside each other; and where each state stands.</summary>
    private readonly int[] _order, _places;

    private readonly int[] _blocks;
    private readonly List<(int First, int Count)> _parts = [];
    private readonly Stack<int> _waiting = new();

    /// <summary>[blocks]: states of the block that the present step has moved to its front.</summary>
    private readonly List<int> _moved = [];

    /// <param name="table">n states.</param>
    /// <param name="completes">[n]: true where some string leads to a final state. The others are a block of their own.</param>
    /// <param name="kindOf">[symbols]: the kind of each, ascending from zero. Each transition takes whole kinds.</param>
    public StatePartition(StateTable table, bool[] completes, int[] kindOf)
    {
        int states = table.States;
        (_kinds, _starts) = (kindOf[^1] + 1, new int[states + 1]);
        for (int state = 0; state < states; state++)
            foreach (SymbolTransition transition in table.From(state))
                if (completes[transition.To]) _starts[transition.To] += kindOf[transition.Last] - kindOf[transition.First] + 1;
        for (int state = 0, sum = 0; state <= states; state++) _starts[state] = sum += _starts[state];
        _edges = new (int, int)[_starts[states]];
        // Filled from the back: each start moves from the end of its edges to their begin.
        for (int state = 0; state < states; state++)
            foreach (SymbolTransition transition in table.From(state))
                for (int kind = kindOf[transition.First]; completes[transition.To] && kind <= kindOf[transition.Last]; kind++)
                    _edges[--_starts[transition.To]] = (kind, state);
        _order = [.. Enumerable.Range(0, states).OrderBy(state => table.IsFinal[state])];
        _places = new int[states];
        for (int place = 0; place < states; place++) _places[_order[place]] = place;
        _blocks = new int[states];
        int others = table.IsFinal.Count(final => !final);
        if (others > 0) AddBlock(0, others);
        if (others < states) AddBlock(others, states - others);
    }

    /// <summary>Divides blocks until each leads to one block by each symbol.</summary>
    /// <returns>[n]: each state's block.</returns>
    public int[] Refine()
    {
        List<int> touched = [];
        List<(int Kind, int From)> incoming = [];
        while (_waiting.TryPop(out int block))
        {
            // Edges are collected before any block is divided: the block itself may be.
            incoming.Clear();
            foreach (int member in _order.AsSpan(_parts[block].First, _parts[block].Count))
                incoming.AddRange(_edges.AsSpan(_starts[member].._starts[member + 1]));
            int[] starts = SortByKind(incoming, out int[] sources);
            for (int kind = 0; kind < _kinds; kind++)
            {
                foreach (int source in sources.AsSpan(starts[kind]..starts[kind + 1])) Move(source, touched);
                foreach (int divided in touched) Divide(divided);
                touched.Clear();
            }
        }
        return _blocks;
    }

    private int[] SortByKind(List<(int Kind, int From)> edges, out int[] sources)
    {
        int[] starts = new int[_kinds + 1];
        foreach ((int kind, int _) in edges) starts[kind]++;
        for (int kind = 0, sum = 0; kind <= _kinds; kind++) starts[kind] = sum += starts[kind];
        sources = new int[edges.Count];
        foreach ((int kind, int from) in edges) sources[--starts[kind]] = from;
        return starts;
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
