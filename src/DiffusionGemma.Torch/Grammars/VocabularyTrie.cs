using System.Runtime.InteropServices;

namespace DiffusionGemma;

/// <summary>
/// Tokens by their bytes, as a tree in depth-first order: a walk reads it from front to back and skips a subtree by one jump.
/// <code>
/// a, ab, b      byte  a b b      after  2 2 3      tokens  [a] [ab] [b]
/// </code>
/// </summary>
internal sealed class VocabularyTrie
{
    private readonly IReadOnlyList<ReadOnlyMemory<byte>> _vocabulary;
    private readonly byte[] _bytes;
    private readonly int[] _depths, _after, _firstToken;
    private readonly int[] _tokens;

    /// <param name="vocabulary">The bytes of every token; empty: the token is no text.</param>
    public VocabularyTrie(IReadOnlyList<ReadOnlyMemory<byte>> vocabulary)
    {
        _vocabulary = vocabulary;
        int[] order = [.. Enumerable.Range(0, vocabulary.Count).Where(id => !vocabulary[id].IsEmpty)];
        System.Array.Sort(order, (a, b) => vocabulary[a].Span.SequenceCompareTo(vocabulary[b].Span) is var by && by != 0 ? by : a.CompareTo(
            b));

        var bytes = new List<byte>();
        var (depths, firstToken, open) = (new List<int>(), new List<int>(), new List<int>());
        var after = new List<int>();
        _tokens = order;
        ReadOnlySpan<byte> previous = default;
        for (int n = 0; n < order.Length; n++)
        {
            ReadOnlySpan<byte> token = vocabulary[order[n]].Span;
            int shared = previous.CommonPrefixLength(token);
            while (open.Count > shared) Close();
            for (int depth = shared; depth < token.Length; depth++)
            {
                open.Add(bytes.Count);
                bytes.Add(token[depth]);
                depths.Add(depth);
                // Tokens of inner nodes come first in the order: those that begin here and end deeper start at n.
                firstToken.Add(n);
                after.Add(0);
            }
            previous = token;
        }
        while (open.Count > 0) Close();
        firstToken.Add(order.Length);
        (_bytes, _depths, _after, _firstToken) = ([.. bytes], [.. depths], [.. after], [.. firstToken]);
        Depth = depths.Count == 0 ? 0 : depths.Max() + 1;
        Lengths = [.. order.Select(id => vocabulary[id].Length)];

        void Close()
        {
            CollectionsMarshal.AsSpan(after)[open[^1]] = bytes.Count;
            open.RemoveAt(open.Count - 1);
        }
    }

    public int VocabularySize => _vocabulary.Count;

    /// <summary>Bytes of the longest token.</summary>
    public int Depth { get; }

    /// <summary>Bytes of each token, in the order of their bytes.</summary>
    private int[] Lengths { get; }

    /// <summary>The state after a token's bytes, -1 where there is none.</summary>
    public int Next(ByteAutomaton automaton, int state, int token)
    {
        if (_vocabulary[token].IsEmpty) return -1;
        foreach (byte symbol in _vocabulary[token].Span)
        {
            state = automaton.Next(state, symbol);
            if (state < 0) return -1;
        }
        return state;
    }

    /// <summary>Finds the tokens that an automaton takes from a state, and where each leads.</summary>
    /// <param name="automaton">The automaton.</param>
    /// <param name="state">Where it is.</param>
    /// <param name="states">Scratch of <see cref="Depth"/> + 1 numbers.</param>
    /// <param name="tokens">Receives the tokens.</param>
    /// <param name="targets">Receives the state after each.</param>
    public void Walk(ByteAutomaton automaton, int state, int[] states, List<int> tokens, List<int> targets)
    {
        states[0] = state;
        for (int node = 0; node < _bytes.Length;)
        {
            int depth = _depths[node], to = automaton.Next(states[depth], _bytes[node]);
            if (to < 0)
            {
                node = _after[node];
                continue;
            }
            states[depth + 1] = to;
            // Equal tokens lie side by side; the node's own are those that are as long as it is deep.
            for (int n = _firstToken[node]; n < _tokens.Length && Lengths[n] == depth + 1 && n < _firstToken[node + 1]; n++)
            {
                tokens.Add(_tokens[n]);
                targets.Add(to);
            }
            node++;
        }
    }
}
