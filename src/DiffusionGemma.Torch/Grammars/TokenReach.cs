using System.Runtime.InteropServices;
using System.Security.Cryptography;

namespace DiffusionGemma;

/// <summary>
/// The part of an automaton that one token can pass through from a state. Where it has the same form for two states, each token that one
/// of them takes is taken by the other, and two tokens lead together from one as they do from the other.
/// <code>
/// a{0,9}, tokens of at most two bytes      from 3:  3 -a-> 4 -a-> 5
///                                          from 6:  6 -a-> 7 -a-> 8     the same form
///                                          from 8:  8 -a-> 9            another
/// </code>
/// </summary>
internal sealed class TokenReach
{
    /// <summary>A larger part is not compared: to do so would take as long as to read the vocabulary.</summary>
    private const int MostStates = 2_000;

    private readonly ByteAutomaton _automaton;
    private readonly int _depth;

    /// <summary>Each state's transitions by ranges of symbols, and [states + 1]: where they begin.</summary>
    private readonly List<SymbolTransition> _transitions = [];
    private readonly int[] _starts;

    /// <summary>[states]: a state's place in <see cref="States"/>; -1: none.</summary>
    private readonly int[] _places;

    private readonly List<int> _states = [], _form = [];

    /// <param name="automaton">The automaton.</param>
    /// <param name="depth">Bytes of the longest token.</param>
    public TokenReach(ByteAutomaton automaton, int depth)
    {
        (_automaton, _depth, _starts, _places) = (automaton, depth, new int[automaton.States + 1], new int[automaton.States]);
        Array.Fill(_places, -1);
        for (int state = 0; state < automaton.States; state++)
        {
            for (int symbol = 0; symbol < automaton.Symbols; symbol++)
            {
                int to = automaton.Next(state, symbol), first = symbol;
                while (symbol + 1 < automaton.Symbols && automaton.Next(state, symbol + 1) == to) symbol++;
                if (to >= 0) _transitions.Add(new SymbolTransition(first, symbol, to));
            }
            _starts[state + 1] = _transitions.Count;
        }
    }

    /// <summary>The states of the last part, as they are reached.</summary>
    public IReadOnlyList<int> States => _states;

    /// <summary>A state's place in <see cref="States"/>; it must be among them.</summary>
    public int PlaceOf(int state) => _places[state];

    /// <summary>Finds the part of a state.</summary>
    /// <returns>A digest of its form; null where it is too large.</returns>
    public UInt128? Find(int from)
    {
        foreach (int state in _states) _places[state] = -1;
        _states.Clear();
        _form.Clear();
        _form.Add(_automaton.Answers[from]);
        Place(from);
        for (int depth = 0, at = 0; depth < _depth; depth++)
            for (int end = _states.Count; at < end; at++)
            {
                int state = _states[at];
                foreach (SymbolTransition transition in CollectionsMarshal.AsSpan(_transitions)[_starts[state].._starts[state + 1]])
                {
                    _form.Add(transition.First);
                    _form.Add(transition.Last);
                    _form.Add(Place(transition.To));
                }
                _form.Add(-1);
                if (_states.Count > MostStates) return null;
            }
        return MemoryMarshal.Read<UInt128>(SHA256.HashData(MemoryMarshal.AsBytes(CollectionsMarshal.AsSpan(_form))));
    }

    private int Place(int state)
    {
        if (_places[state] >= 0) return _places[state];
        _states.Add(state);
        return _places[state] = _states.Count - 1;
    }
}
