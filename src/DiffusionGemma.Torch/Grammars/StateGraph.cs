using System.Runtime.InteropServices;

namespace DiffusionGemma;

/// <summary>A nondeterministic automaton with free transitions (Thompson's construction).</summary>
/// <param name="mostStates">Limit of its states.</param>
/// <param name="tooLarge">Makes the error that is thrown beyond it.</param>
internal sealed class StateGraph(long mostStates, Func<Exception> tooLarge)
{
    private readonly List<List<SymbolTransition>> _transitions = [];
    private readonly List<List<int>> _free = [];

    public int States => _free.Count;

    /// <summary>Valid until something is added.</summary>
    public ReadOnlySpan<SymbolTransition> Transitions(int state) => CollectionsMarshal.AsSpan(_transitions[state]);

    /// <summary>States that a state leads to without a symbol. Valid until something is added.</summary>
    public ReadOnlySpan<int> Free(int state) => CollectionsMarshal.AsSpan(_free[state]);

    public int Add()
    {
        if (_free.Count > mostStates) throw tooLarge();
        _transitions.Add([]);
        _free.Add([]);
        return _free.Count - 1;
    }

    public void Connect(int from, int first, int last, int to) => _transitions[from].Add(new SymbolTransition(first, last, to));

    public void ConnectFreely(int from, int to) => _free[from].Add(to);

    /// <summary>A copy of an automaton between two states.</summary>
    public void Embed(StateTable table, int start, int end)
    {
        int[] copies = [.. Enumerable.Range(0, table.States).Select(_ => Add())];
        if (copies.Length == 0) return;
        ConnectFreely(start, copies[table.Start]);
        for (int state = 0; state < copies.Length; state++)
        {
            if (table.IsFinal[state]) ConnectFreely(copies[state], end);
            foreach (SymbolTransition transition in table.From(state))
                _transitions[copies[state]].Add(transition with { To = copies[transition.To] });
        }
    }
}
