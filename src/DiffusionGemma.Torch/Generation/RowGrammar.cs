namespace DiffusionGemma;

/// <summary>
/// One row's way through its grammar: the state that its canvas starts in, where the canvas may stop, and the tokens that are known.
/// </summary>
internal sealed class RowGrammar
{
    private readonly int _canvasLength, _mostTokens;
    private readonly bool[][]? _completable;

    /// <param name="automaton">The grammar over tokens.</param>
    /// <param name="canvasLength">C.</param>
    /// <param name="mostTokens">Tokens of the answer at most.</param>
    /// <param name="pins">Known tokens by their position in the answer.</param>
    /// <param name="fill">The token after the answer's end.</param>
    public RowGrammar(TokenAutomaton automaton, int canvasLength, int mostTokens, IReadOnlyDictionary<int, int>? pins, int fill)
    {
        (Automaton, _canvasLength, _mostTokens, Fill) = (automaton, canvasLength, mostTokens, fill);
        State = automaton.Start;
        Known = new int[canvasLength];
        if (pins is { Count: > 0 }) _completable = FindCompletable(pins);
    }

    public TokenAutomaton Automaton { get; }

    /// <summary>The token after the answer's end.</summary>
    public int Fill { get; }

    /// <summary>The state before the canvas.</summary>
    public int State { get; private set; }

    /// <summary>
    /// Positions of the canvas that the answer may take; in its last canvas fewer than C where the limit is no multiple of C.
    /// </summary>
    public int Count { get; private set; }

    /// <summary>[states]: where the canvas may stop, so that what follows can complete the answer.</summary>
    public bool[] Ends { get; private set; } = [];

    /// <summary>[C]: tokens that are pinned or committed; -1: none.</summary>
    public int[] Known { get; }

    /// <summary>False where no answer within the limit holds all pinned tokens.</summary>
    public bool HasAnswer => _completable is null ? Automaton.Distances[Automaton.Start] <= _mostTokens : _completable[0][Automaton.Start];

    /// <summary>Sets the positions and ends of a canvas.</summary>
    /// <param name="canvas">Its number, from 0.</param>
    public void BeginCanvas(int canvas)
    {
        int start = canvas * _canvasLength, left = Math.Max(_mostTokens - start - _canvasLength, 0);
        // No position is left where a complete answer waits for its neighbours.
        Count = Math.Clamp(_mostTokens - start, 0, _canvasLength);
        Ends = _completable is null ? Automaton.Within(left) : _completable[Math.Min(start + Count, _mostTokens)];
    }

    /// <summary>Moves to the state after a canvas.</summary>
    /// <param name="tokens">[C], a path from <see cref="State"/>.</param>
    public void Commit(ReadOnlySpan<int> tokens)
    {
        foreach (int token in tokens[..Math.Min(Count, tokens.Length)])
        {
            int next = Automaton.Next(State, token);
            if (next < 0) return;                                                             // the answer is complete; padding follows
            State = next;
        }
    }

    /// <summary>[limit + 1][states]: from where, with so many tokens written, the pinned tokens still to come lead to an answer.</summary>
    private bool[][] FindCompletable(IReadOnlyDictionary<int, int> pins)
    {
        AutomatonEdges edges = Automaton.Edges;
        var completable = new bool[_mostTokens + 1][];
        completable[_mostTokens] = Automaton.Finals();
        for (int position = _mostTokens - 1; position >= 0; position--)
        {
            bool[] next = completable[position + 1], now = completable[position] = new bool[Automaton.States];
            bool isPinned = pins.TryGetValue(position, out int token);
            int pinned = isPinned && token < Automaton.VocabularySize ? Automaton.Classes[token] : -1;
            for (int e = 0; e < edges.Count; e++)
                if ((!isPinned || edges.Classes[e] == pinned) && next[edges.Targets[e]]) now[edges.Sources[e]] = true;
        }
        return completable;
    }
}
