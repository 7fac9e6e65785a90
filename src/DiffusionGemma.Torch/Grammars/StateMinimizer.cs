namespace DiffusionGemma;

/// <summary>Minimises a deterministic automaton.</summary>
internal static class StateMinimizer
{
    /// <summary>
    /// The smallest automaton of the same language: states that no string completes are gone, the others are numbered as they are reached.
    /// </summary>
    /// <param name="table">Its states can all be reached.</param>
    /// <param name="symbols">Number of symbols.</param>
    public static StateTable Minimize(StateTable table, int symbols)
    {
        bool[] completes = CompletedStates(table);
        if (table.States == 0 || !completes[table.Start]) return new StateTable();
        return Number(table, completes, new StatePartition(table, completes, SymbolKinds(table, symbols)).Refine());
    }

    /// <summary>[states]: true where some string leads to a final state.</summary>
    private static bool[] CompletedStates(StateTable table)
    {
        // Transitions to a state are a list: its first one, and after each the next.
        int[] firsts = new int[table.States], nexts = new int[table.Transitions], sources = new int[table.Transitions];
        Array.Fill(firsts, -1);
        int edge = 0;
        for (int state = 0; state < table.States; state++)
            foreach (SymbolTransition transition in table.From(state))
            {
                (sources[edge], nexts[edge]) = (state, firsts[transition.To]);
                firsts[transition.To] = edge++;
            }
        bool[] completes = [.. table.IsFinal];
        var queue = new Stack<int>(Enumerable.Range(0, table.States).Where(state => completes[state]));
        while (queue.TryPop(out int state))
            for (int to = firsts[state]; to >= 0; to = nexts[to])
            {
                if (completes[sources[to]]) continue;
                completes[sources[to]] = true;
                queue.Push(sources[to]);
            }
        return completes;
    }

    /// <summary>
    /// [symbols]: the kind of each, ascending. Symbols between two places where some transition begins or ends are of one kind.
    /// </summary>
    private static int[] SymbolKinds(StateTable table, int symbols)
    {
        bool[] begins = new bool[symbols + 1];
        for (int state = 0; state < table.States; state++)
            foreach (SymbolTransition transition in table.From(state)) begins[transition.First] = begins[transition.Last + 1] = true;
        int[] kinds = new int[symbols];
        for (int symbol = 1; symbol < symbols; symbol++) kinds[symbol] = kinds[symbol - 1] + (begins[symbol] ? 1 : 0);
        return kinds;
    }

    /// <summary>The automaton of the blocks, numbered as they are reached.</summary>
    private static StateTable Number(StateTable table, bool[] completes, int[] blocks)
    {
        var minimal = new StateTable();
        int[] numbers = new int[table.States];
        Array.Fill(numbers, -1);
        var queue = new Queue<int>();
        int NumberOf(int state)
        {
            ref int number = ref numbers[blocks[state]];
            if (number >= 0) return number;
            queue.Enqueue(state);
            return number = minimal.Add(table.IsFinal[state]);
        }
        NumberOf(table.Start);
        while (queue.TryDequeue(out int state))
            foreach (SymbolTransition transition in table.From(state))
                if (completes[transition.To])
                    minimal.Connect(numbers[blocks[state]], transition.First, transition.Last, NumberOf(transition.To));
        return minimal;
    }
}
