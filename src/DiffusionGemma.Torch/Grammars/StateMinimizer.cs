using Fare;

namespace DiffusionGemma;

/// <summary>Minimises a deterministic automaton (Hopcroft's algorithm, by Fare).</summary>
internal static class StateMinimizer
{
    /// <summary>Fare numbers its states by a counter of the process that is not safe for two threads at once.</summary>
    private static readonly Lock OneAtATime = new();

    /// <summary>
    /// The smallest automaton of the same language: states that no string completes are gone, the others are numbered as they are reached.
    /// </summary>
    public static StateTable Minimize(StateTable table, int symbols)
    {
        var minimal = new StateTable(symbols);
        if (table.States == 0) return minimal;
        State initial;
        lock (OneAtATime)
        {
            State[] states = [.. Enumerable.Range(0, table.States).Select(state => new State { Accept = table.IsFinal[state] })];
            for (int state = 0; state < states.Length; state++)
                for (int symbol = 0; symbol < symbols; symbol++)
                {
                    int to = table.Next[state * symbols + symbol], first = symbol;
                    while (symbol + 1 < symbols && table.Next[state * symbols + symbol + 1] == to) symbol++;
                    if (to >= 0) states[state].AddTransition(new Transition((char)first, (char)symbol, states[to]));
                }
            var automaton = new Automaton { Initial = states[table.Start], IsDeterministic = true };
            automaton.RemoveDeadTransitions();
            if (BasicOperations.IsEmpty(automaton)) return minimal;
            MinimizationOperations.MinimizeHopcroft(automaton);
            automaton.ExpandSingleton();
            initial = automaton.Initial;
        }
        return Number(initial, minimal);
    }

    private static StateTable Number(State initial, StateTable table)
    {
        var numbers = new Dictionary<State, int>(ReferenceEqualityComparer.Instance) { [initial] = table.Add(initial.Accept) };
        var queue = new Queue<State>([initial]);
        while (queue.TryDequeue(out State? state))
            foreach (Transition transition in state.Transitions.OrderBy(t => t.Min))
            {
                if (!numbers.TryGetValue(transition.To, out int to))
                {
                    to = numbers[transition.To] = table.Add(transition.To.Accept);
                    queue.Enqueue(transition.To);
                }
                for (int symbol = transition.Min; symbol <= transition.Max; symbol++) table.Connect(numbers[state], symbol, to);
            }
        return table;
    }
}
