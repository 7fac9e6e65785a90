using System.Text;

namespace DiffusionGemma;

/// <summary>
/// A deterministic automaton over bytes, and over special tokens, which have none. Every state lies on a path to a final one.
/// </summary>
internal sealed class ByteAutomaton
{
    /// <summary>Symbols: 256 bytes, then the special tokens of <see cref="SpecialTokens"/> in order.</summary>
    public const int Bytes = 256;

    private readonly int[] _next;

    /// <param name="next">[states, symbols], -1 where no continuation is in the language.</param>
    /// <param name="specialTokens">Ids of the symbols after the bytes.</param>
    /// <param name="start">The first state.</param>
    /// <param name="answers">The index of the answer that each state completes: of labels the label's, else 0; -1: none.</param>
    public ByteAutomaton(int[] next, IReadOnlyList<int> specialTokens, int start, int[] answers)
    {
        _next = next;
        SpecialTokens = specialTokens;
        Symbols = Bytes + specialTokens.Count;
        Start = start;
        Answers = answers;
    }

    public IReadOnlyList<int> SpecialTokens { get; }

    public int Start { get; }

    public int[] Answers { get; }

    public int States => Answers.Length;

    public int Symbols { get; }

    /// <summary>True where the language has no string at all.</summary>
    public bool IsEmpty => States == 0;

    /// <summary>The state after a symbol, -1 where there is none.</summary>
    public int Next(int state, int symbol) => _next[state * Symbols + symbol];

    /// <summary>Tests a text for being in the language.</summary>
    public bool Accepts(string text) => Accepts(Encoding.UTF8.GetBytes(text));

    public bool Accepts(ReadOnlySpan<byte> text)
    {
        int state = IsEmpty ? -1 : Start;
        foreach (byte symbol in text)
        {
            if (state < 0) return false;
            state = Next(state, symbol);
        }
        return state >= 0 && Answers[state] >= 0;
    }

    /// <summary>
    /// The shortest string, of those the one of the lowest symbols; null where there is none. Special tokens are left out.
    /// </summary>
    public string? Shortest()
    {
        if (IsEmpty) return null;
        var came = new Dictionary<int, (int From, int Symbol)> { [Start] = (-1, -1) };
        var queue = new Queue<int>([Start]);
        while (queue.TryDequeue(out int state))
        {
            if (Answers[state] >= 0)
            {
                var text = new List<byte>();
                for (int at = state; came[at].From >= 0; at = came[at].From)
                    if (came[at].Symbol < Bytes) text.Add((byte)came[at].Symbol);
                text.Reverse();
                return Encoding.UTF8.GetString([.. text]);
            }
            for (int symbol = 0; symbol < Symbols; symbol++)
                if (Next(state, symbol) is >= 0 and var to && came.TryAdd(to, (state, symbol))) queue.Enqueue(to);
        }
        return null;
    }
}
