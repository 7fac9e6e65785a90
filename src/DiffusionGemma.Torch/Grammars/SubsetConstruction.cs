using System.Runtime.InteropServices;

namespace DiffusionGemma;

/// <summary>
/// Makes a nondeterministic automaton deterministic: each of its states is a set of states that the same strings lead to.
/// </summary>
internal sealed class SubsetConstruction
{
    private readonly StateGraph _graph;
    private readonly int _end;
    private readonly CompilationLimits _limits;
    private readonly StateTable _table = new();
    private readonly Queue<(int[] Set, int State)> _queue = new();

    /// <summary>States by their sets, and by the targets that led to them: many transitions share their targets.</summary>
    private readonly Dictionary<int[], int> _bySet = new(SortedSetComparer.Instance), _byTargets = new(SortedSetComparer.Instance);

    /// <summary>[states of the graph]: the number of the last set that a state was added to.</summary>
    private readonly int[] _addedTo;
    private int _setNumber;

    /// <summary>[symbols + 1]: transitions of the present set by their first symbol; and those that take the present symbol.</summary>
    private readonly List<SymbolTransition>[] _beginning;
    private readonly List<SymbolTransition> _active = [];

    private readonly List<int> _targets = [], _members = [];
    private readonly Stack<int> _unvisited = new();

    private SubsetConstruction(StateGraph graph, int end, int symbols, CompilationLimits limits)
    {
        (_graph, _end, _limits) = (graph, end, limits);
        _addedTo = new int[graph.States];
        _beginning = [.. Enumerable.Range(0, symbols + 1).Select(_ => new List<SymbolTransition>())];
    }

    /// <param name="graph">The automaton.</param>
    /// <param name="start">Its first state.</param>
    /// <param name="end">Its final one.</param>
    /// <param name="symbols">Number of symbols.</param>
    /// <param name="limits">What throws where it becomes too large.</param>
    public static StateTable Determinize(StateGraph graph, int start, int end, int symbols, CompilationLimits limits)
    {
        var construction = new SubsetConstruction(graph, end, symbols, limits);
        construction.StateOf([start]);
        while (construction._queue.TryDequeue(out (int[] Set, int State) next)) construction.Connect(next.Set, next.State);
        return construction._table;
    }

    /// <summary>Adds a state's transitions, for one range of symbols after another that lead to the same states.</summary>
    private void Connect(int[] set, int state)
    {
        foreach (int member in set)
            foreach (SymbolTransition transition in _graph.Transitions(member)) _beginning[transition.First].Add(transition);
        for (int symbol = 0, first = 0, end = int.MaxValue; symbol < _beginning.Length; symbol++)
        {
            List<SymbolTransition> beginning = _beginning[symbol];
            if (beginning.Count == 0 && symbol < end) continue;
            if (_active.Count > 0) _table.Connect(state, first, symbol - 1, StateOfTargets());
            _active.RemoveAll(transition => transition.Last < symbol);
            _active.AddRange(beginning);
            beginning.Clear();
            (first, end) = (symbol, int.MaxValue);
            foreach (SymbolTransition transition in _active) end = Math.Min(end, transition.Last + 1);
        }
    }

    /// <summary>The state after the transitions that are active.</summary>
    private int StateOfTargets()
    {
        _targets.Clear();
        foreach (SymbolTransition transition in _active) _targets.Add(transition.To);
        _targets.Sort();
        Span<int> targets = CollectionsMarshal.AsSpan(_targets);
        int count = 0;
        foreach (int target in targets)
            if (count == 0 || targets[count - 1] != target) targets[count++] = target;
        _limits.AddMembers(count);
        return _byTargets.GetAlternateLookup<ReadOnlySpan<int>>().TryGetValue(targets[..count], out int state)
            ? state : StateOf(targets[..count].ToArray());
    }

    /// <summary>The state whose set holds what can be reached from some states without a symbol.</summary>
    private int StateOf(int[] targets)
    {
        Follow(targets);
        ReadOnlySpan<int> members = CollectionsMarshal.AsSpan(_members);
        if (!_bySet.GetAlternateLookup<ReadOnlySpan<int>>().TryGetValue(members, out int state))
        {
            _limits.AddState(_table.States);
            int[] set = members.ToArray();
            state = _bySet[set] = _table.Add(isFinal: _addedTo[_end] == _setNumber);
            _queue.Enqueue((set, state));
        }
        return _byTargets[targets] = state;
    }

    /// <summary>
    /// Collects in their order the states that can be reached from the targets without a symbol. Of those, only the final one and the
    /// states that some symbol leaves tell sets apart.
    /// </summary>
    private void Follow(int[] targets)
    {
        _members.Clear();
        _setNumber++;
        int visited = 0;
        foreach (int target in targets) Visit(target);
        for (; _unvisited.TryPop(out int state); visited++)
        {
            if (TellsApart(state)) _members.Add(state);
            foreach (int to in _graph.Free(state)) Visit(to);
        }
        _limits.AddMembers(visited);
        if (visited < _graph.States / 16)
        {
            _members.Sort();
            return;
        }
        // Many are found in order more quickly than they are sorted.
        _members.Clear();
        for (int state = 0; state < _addedTo.Length; state++)
            if (_addedTo[state] == _setNumber && TellsApart(state)) _members.Add(state);
    }

    private bool TellsApart(int state) => state == _end || _graph.Transitions(state).Length > 0;

    private void Visit(int state)
    {
        if (_addedTo[state] == _setNumber) return;
        _addedTo[state] = _setNumber;
        _unvisited.Push(state);
    }
}
