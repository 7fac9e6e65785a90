namespace DiffusionGemma;

/// <summary>Minimises a deterministic automaton.</summary>
internal static class StateMinimizer
{
    /// <summary>
    /// The smallest automaton of the same language: states that no string completes are gone, the others are numbered as they are reached.
    /// </summary>
    public static StateTable Minimize(StateTable table, int symbols)
    {
        int[] useful = UsefulStates(table, symbols);
        if (useful.Length == 0) return new StateTable(symbols);
        int[] numbers = new int[table.States];
        Array.Fill(numbers, -1);
        foreach ((int number, int state) in useful.Index()) numbers[state] = number;
        int[] samples = SymbolSamples(table, symbols, useful);
        var partition = new StatePartition(
            [.. useful.Select(state => table.IsFinal[state])], samples.Length,
            (state, kind) => table.Next[useful[state] * symbols + samples[kind]] is >= 0 and int to ? numbers[to] : -1);
        int[] blocks = partition.Refine();
        return Number(table, symbols, state => state < 0 || numbers[state] < 0 ? -1 : blocks[numbers[state]]);
    }

    /// <summary>States on a way from the first to a final one.</summary>
    private static int[] UsefulStates(StateTable table, int symbols)
    {
        ReadOnlySpan<int> next = table.Next;
        var before = new List<int>[table.States];
        bool[] reached = new bool[table.States];
        var queue = new Stack<int>();
        if (table.States > 0)
        {
            reached[table.Start] = true;
            queue.Push(table.Start);
        }
        while (queue.TryPop(out int state))
            for (int symbol = 0, last = -1; symbol < symbols; symbol++)
            {
                int to = next[state * symbols + symbol];
                if (to < 0 || to == last) continue;
                last = to;
                (before[to] ??= []).Add(state);
                if (reached[to]) continue;
                reached[to] = true;
                queue.Push(to);
            }
        bool[] completes = new bool[table.States];
        for (int state = 0; state < table.States; state++)
        {
            if (!reached[state] || !table.IsFinal[state]) continue;
            completes[state] = true;
            queue.Push(state);
        }
        while (queue.TryPop(out int state))
            foreach (int from in before[state] ?? [])
            {
                if (completes[from]) continue;
                completes[from] = true;
                queue.Push(from);
            }
        return table.States > 0 && completes[table.Start]
            ? [.. Enumerable.Range(0, table.States).Where(state => completes[state])] : [];
    }

    /// <summary>One symbol of each kind: those of a kind lead to the same state from every state.</summary>
    private static int[] SymbolSamples(StateTable table, int symbols, int[] useful)
    {
        ReadOnlySpan<int> next = table.Next;
        ulong[] hashes = new ulong[symbols];
        foreach (int state in useful)
            for (int symbol = 0; symbol < symbols; symbol++)
                hashes[symbol] = (hashes[symbol] ^ (uint)next[state * symbols + symbol]) * 1_099_511_628_211;
        List<int> samples = [];
        for (int symbol = 0; symbol < symbols; symbol++)
            if (!samples.Exists(sample => hashes[sample] == hashes[symbol] && IsSame(table, symbols, useful, sample, symbol)))
                samples.Add(symbol);
        return [.. samples];
    }

    private static bool IsSame(StateTable table, int symbols, int[] useful, int one, int other)
    {
        ReadOnlySpan<int> next = table.Next;
        foreach (int state in useful)
            if (next[state * symbols + one] != next[state * symbols + other]) return false;
        return true;
    }

    /// <summary>The automaton of the blocks, numbered as they are reached.</summary>
    private static StateTable Number(StateTable table, int symbols, Func<int, int> blockOf)
    {
        var minimal = new StateTable(symbols);
        var numbers = new Dictionary<int, int> { [blockOf(table.Start)] = minimal.Add(table.IsFinal[table.Start]) };
        var queue = new Queue<(int State, int Number)>([(table.Start, 0)]);
        while (queue.TryDequeue(out (int State, int Number) from))
            for (int symbol = 0; symbol < symbols; symbol++)
            {
                int to = table.Next[from.State * symbols + symbol], block = blockOf(to);
                if (block < 0) continue;
                if (!numbers.TryGetValue(block, out int number))
                {
                    number = numbers[block] = minimal.Add(table.IsFinal[to]);
                    queue.Enqueue((to, number));
                }
                minimal.Connect(from.Number, symbol, number);
            }
        return minimal;
    }
}
