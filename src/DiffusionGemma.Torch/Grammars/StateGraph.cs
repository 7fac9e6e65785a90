namespace DiffusionGemma;

/// <summary>A nondeterministic automaton with free transitions (Thompson's construction), and its subset construction.</summary>
/// <param name="mostStates">The limit of deterministic states; of the graph's own a multiple.</param>
/// <param name="tooLarge">Makes the error that is thrown beyond a limit.</param>
internal sealed class StateGraph(int mostStates, Func<Exception> tooLarge)
{
    /// <summary>States of the graph for each deterministic one that is allowed: most of them only join others.</summary>
    private const int GraphFactor = 50;

    /// <summary>Members of all sets of states together, for each deterministic state that is allowed: what repetitions of repetitions
    /// cost.</summary>
    private const int MembersFactor = 1000;

    private readonly List<List<(int First, int Last, int To)>> _transitions = [];
    private readonly List<List<int>> _free = [];

    public int Add()
    {
        if (_free.Count > (long)mostStates * GraphFactor) throw tooLarge();
        _transitions.Add([]);
        _free.Add([]);
        return _free.Count - 1;
    }

    public void Connect(int from, int first, int last, int to) => _transitions[from].Add((first, last, to));

    public void ConnectFreely(int from, int to) => _free[from].Add(to);

    /// <summary>A copy of an automaton between two states.</summary>
    public void Embed(StateTable table, int start, int end, int symbols)
    {
        int[] copies = [.. Enumerable.Range(0, table.States).Select(_ => Add())];
        if (copies.Length == 0) return;
        ConnectFreely(start, copies[table.Start]);
        for (int state = 0; state < copies.Length; state++)
        {
            if (table.IsFinal[state]) ConnectFreely(copies[state], end);
            for (int symbol = 0; symbol < symbols; symbol++)
            {
                int to = table.Next[state * symbols + symbol], first = symbol;
                while (symbol + 1 < symbols && table.Next[state * symbols + symbol + 1] == to) symbol++;
                if (to >= 0) Connect(copies[state], first, symbol, copies[to]);
            }
        }
    }

    /// <summary>The subset construction.</summary>
    public StateTable Determinize(int start, int end, int symbols)
    {
        var table = new StateTable(symbols);
        var known = new Dictionary<StateSet, int>();
        var queue = new Queue<(StateSet Set, int State)>();
        long members = 0;
        int State(IEnumerable<int> states)
        {
            var set = new StateSet(Closure(states));
            if ((members += set.States.Length) > (long)mostStates * MembersFactor) throw tooLarge();
            if (known.TryGetValue(set, out int state)) return state;
            if (table.States == mostStates) throw tooLarge();
            state = known[set] = table.Add(set.States.Contains(end));
            queue.Enqueue((set, state));
            return state;
        }
        State([start]);
        var targets = new SortedSet<int>();
        while (queue.TryDequeue(out (StateSet Set, int State) next))
        {
            (int First, int Last, int To)[] leaving = [.. next.Set.States.SelectMany(s => _transitions[s])];
            // Between two places where some transition begins or ends, all symbols lead to the same states.
            int[] cuts = [.. leaving.SelectMany(t => new[] { t.First, t.Last + 1 }).Distinct().Order()];
            for (int i = 0; i + 1 < cuts.Length; i++)
            {
                targets.Clear();
                foreach ((int first, int last, int to) in leaving)
                    if (first <= cuts[i] && cuts[i] <= last) targets.Add(to);
                if (targets.Count == 0) continue;
                int target = State(targets);
                for (int symbol = cuts[i]; symbol < cuts[i + 1]; symbol++) table.Connect(next.State, symbol, target);
            }
        }
        return table;
    }

    private int[] Closure(IEnumerable<int> states)
    {
        var reached = new HashSet<int>(states);
        var queue = new Stack<int>(reached);
        while (queue.TryPop(out int state))
            foreach (int to in _free[state])
                if (reached.Add(to)) queue.Push(to);
        return [.. reached.Order()];
    }

    /// <summary>A sorted set of states, compared by its members.</summary>
    private readonly struct StateSet(int[] states) : IEquatable<StateSet>
    {
        private readonly int _hash = Hash(states);

        public int[] States => states;

        public bool Equals(StateSet other) => states.AsSpan().SequenceEqual(other.States);

        public override bool Equals(object? other) => other is StateSet set && Equals(set);

        public override int GetHashCode() => _hash;

        private static int Hash(int[] states)
        {
            var hash = new HashCode();
            hash.AddBytes(System.Runtime.InteropServices.MemoryMarshal.AsBytes(states.AsSpan()));
            return hash.ToHashCode();
        }
    }
}
