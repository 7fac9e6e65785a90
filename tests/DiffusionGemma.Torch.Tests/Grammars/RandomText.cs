using System.Text;

namespace DiffusionGemma;

/// <summary>Draws texts of an automaton: random walks that head for an end once they are long.</summary>
internal sealed class RandomText
{
    private readonly ByteAutomaton _automaton;
    private readonly (int Symbol, int To)[][] _ways;
    private readonly int[] _distances;

    public RandomText(ByteAutomaton automaton)
    {
        _automaton = automaton;
        _ways =
        [
            .. Enumerable.Range(0, automaton.States).Select(
                state => Enumerable.Range(0, ByteAutomaton.Bytes).Select(b => (b, automaton.Next(state, b))).Where(
                    way => way.Item2 >= 0).ToArray()),
        ];
        _distances = [.. automaton.Answers.Select(answer => answer >= 0 ? 0 : int.MaxValue - 1)];
        bool moved;
        do
        {
            moved = false;
            for (int state = automaton.States - 1; state >= 0; state--)
                foreach ((int _, int to) in _ways[state])
                    if (_distances[to] + 1 < _distances[state]) (_distances[state], moved) = (_distances[to] + 1, true);
        }
        while (moved);
    }

    public string Draw(Random random, int longest = 60)
    {
        var text = new List<byte>();
        int state = _automaton.Start;
        while (_ways[state].Length > 0 && !(_automaton.Answers[state] >= 0 && (text.Count >= longest || random.Next(4) == 0)))
        {
            (int Symbol, int To)[] ways = _ways[state];
            if (text.Count >= longest) ways = [.. ways.Where(way => _distances[way.To] == ways.Min(other => _distances[other.To]))];
            (int symbol, state) = ways[random.Next(ways.Length)];
            text.Add((byte)symbol);
        }
        return new UTF8Encoding(false, throwOnInvalidBytes: true).GetString([.. text]);
    }
}
