using System.Numerics;
using System.Numerics.Tensors;

namespace DiffusionGemma;

/// <summary>
/// One denoising step's decisions for one row under a grammar: the marginals' entropies, an exact sample, the likeliest answer. The
/// distributions are those of the step, independent between positions; given that the canvas continues an answer of the language they are
/// not, and everything here is exact.
/// </summary>
/// <typeparam name="T">The logits' type: float, or double for the tests' judge.</typeparam>
internal sealed class GrammarStep<T>
    where T : unmanaged, IBinaryFloatingPointIeee754<T>
{
    /// <summary>Probabilities that self-conditioning shows the decoder are at least this.</summary>
    public const double Floor = 1e-30;

    /// <summary>Share of drawable tokens, one in so many, above which looking at all of them is faster than sorting those.</summary>
    private const int SortWorth = 16;

    private readonly TokenAutomaton _automaton;
    private readonly ClassSums<T> _sums;
    private readonly GrammarPaths _paths;
    private readonly double[] _weights, _onward;
    private readonly int[] _allowed;
    private int _count;

    /// <param name="automaton">The grammar over tokens.</param>
    /// <param name="positions">Positions of a canvas.</param>
    public GrammarStep(TokenAutomaton automaton, int positions)
    {
        _automaton = automaton;
        _sums = new ClassSums<T>(automaton, positions);
        _paths = new GrammarPaths(automaton, positions);
        _onward = new double[automaton.ClassCount];
        (_weights, _allowed) = (new double[automaton.Members.Length], new int[automaton.Members.Length]);
        Entropies = new double[positions];
        Sample = new int[positions];
        Best = new int[positions];
    }

    /// <summary>[positions]: entropies of the marginals, in nats.</summary>
    public double[] Entropies { get; }

    /// <summary>[positions]: one exact sample.</summary>
    public int[] Sample { get; }

    /// <summary>[positions]: the likeliest continuation.</summary>
    public int[] Best { get; }

    /// <summary>The state after <see cref="Best"/>.</summary>
    public int Last { get; private set; }

    /// <summary>
    /// log Σ over the language of Π exp(l). Less the positions' own log Σ exp(l): how much of its belief fits the grammar.
    /// </summary>
    public double LogTotal => _paths.LogTotal;

    /// <summary>The gates of a position's classes: a token's l and its class's gate are its marginal's logarithm.</summary>
    public ReadOnlySpan<double> Gates(int position) => _paths.Gates(position);

    /// <summary>Reads a position's logits [V], scaled by the temperature.</summary>
    public void Read(int position, ReadOnlySpan<T> logits) => _sums.Read(position, logits);

    /// <summary>Sets a position to a token that is known.</summary>
    public void Pin(int position, int token) => _sums.Pin(position, token);

    /// <summary>Conditions what was read on the language: marginals, entropies and the likeliest continuation.</summary>
    /// <param name="count">Positions that the answer may take: of its last canvas those up to its limit.</param>
    /// <param name="start">The state before it.</param>
    /// <param name="ends">[states]: where the canvas may stop.</param>
    /// <returns>False where no continuation is possible.</returns>
    public bool Condition(int count, int start, bool[] ends)
    {
        _count = count;
        if (!_paths.SumBackward(_sums.LogSums, count, start, ends)) return false;
        _paths.SumForward(_sums.LogSums, count, start);
        Last = _paths.FindBest(_sums.Maxima, _sums.Likeliest, count, start, ends, Best);
        int classes = _automaton.ClassCount;
        for (int i = 0; i < count; i++)
        {
            ReadOnlySpan<double> gates = _paths.Gates(i);
            double entropy = 0;
            for (int c = 0; c < classes; c++)
            {
                double log = gates[c] + _sums.LogSums[i * classes + c];
                if (!double.IsNegativeInfinity(log)) entropy -= Math.Exp(log) * (gates[c] + _sums.Means[i * classes + c]);
            }
            Entropies[i] = Math.Max(entropy, 0);
        }
        return true;
    }

    /// <summary>The probability of each answer that a final state completes, given that one of them is the answer.</summary>
    /// <param name="answers">Their number.</param>
    public double[] Scores(int answers)
    {
        var logs = new double[answers];
        System.Array.Fill(logs, double.NegativeInfinity);
        for (int s = 0; s < _automaton.States; s++)
        {
            if (_automaton.Answers[s] is not (>= 0 and var answer)) continue;
            double more = _paths.Forward(_count, s), larger = Math.Max(logs[answer], more);
            if (!double.IsNegativeInfinity(larger))
                logs[answer] = larger + Math.Log(Math.Exp(logs[answer] - larger) + Math.Exp(more - larger));
        }
        double largest = logs.Max();
        double[] weights = [.. logs.Select(log => Math.Exp(log - largest))];
        return [.. weights.Select(weight => weight / weights.Sum())];
    }

    /// <summary>
    /// Draws <see cref="Sample"/>: from the left, each token by its weight times what may follow it, by inverse CDF in the order of ids.
    /// </summary>
    /// <param name="count">Positions that the answer may take: of its last canvas those up to its limit.</param>
    /// <param name="start">The state before it.</param>
    /// <param name="logits">A position's logits, as they were read.</param>
    /// <param name="uniforms">[positions] in [0,1).</param>
    /// <param name="pins">The known token of a position, -1: none.</param>
    public void Draw(int count, int start, LogitsOf<T> logits, ReadOnlySpan<double> uniforms, Func<int, int> pins)
    {
        AutomatonEdges edges = _automaton.Edges;
        int state = start;
        for (int i = 0; i < count; i++)
        {
            int token = pins(i);
            if (token < 0) token = DrawToken(i, state, logits(i), uniforms[i]);
            Sample[i] = token;
            state = edges.Target(state, _automaton.Classes[token]);
        }
    }

    private int DrawToken(int position, int state, ReadOnlySpan<T> logits, double uniform)
    {
        AutomatonEdges edges = _automaton.Edges;
        System.Array.Fill(_onward, double.NegativeInfinity);
        int count = 0;
        for (int e = edges.First[state]; e < edges.First[state + 1]; e++)
        {
            int c = edges.Classes[e];
            double onward = _paths.Backward(position + 1, edges.Targets[e]) - _paths.Backward(position, state);
            if (double.IsNegativeInfinity(onward + _sums.LogSums[position * _automaton.ClassCount + c])) continue;
            _onward[c] = onward;
            count += _automaton.MembersOf(c).Length;
        }
        Span<int> tokens = _allowed.AsSpan(0, count);
        if (count > _automaton.Members.Length / SortWorth) FilterTokens(tokens);
        else GatherTokens(state, tokens);
        if (count == 1) return tokens[0];
        Span<double> weights = _weights.AsSpan(0, count);
        for (int n = 0; n < count; n++) weights[n] = double.CreateChecked(logits[tokens[n]]) + _onward[_automaton.Classes[tokens[n]]];
        TensorPrimitives.Exp<double>(weights, weights);
        double target = uniform * TensorPrimitives.Sum<double>(weights), sum = 0;
        int chosen = -1;
        for (int n = 0; n < count; n++)
        {
            if (weights[n] == 0) continue;
            chosen = tokens[n];
            sum += weights[n];
            if (sum > target) break;
        }
        return chosen;
    }

    /// <summary>Finds the tokens that may be drawn, ids ascending, by looking at all.</summary>
    private void FilterTokens(Span<int> tokens)
    {
        int count = 0;
        foreach (int token in _automaton.Tokens)
            if (!double.IsNegativeInfinity(_onward[_automaton.Classes[token]])) tokens[count++] = token;
    }

    /// <summary>Finds the tokens that may be drawn, ids ascending, by sorting those of the state's classes.</summary>
    private void GatherTokens(int state, Span<int> tokens)
    {
        int count = 0;
        for (int e = _automaton.Edges.First[state]; e < _automaton.Edges.First[state + 1]; e++)
        {
            int c = _automaton.Edges.Classes[e];
            if (double.IsNegativeInfinity(_onward[c])) continue;
            _automaton.MembersOf(c).CopyTo(tokens[count..]);
            count += _automaton.MembersOf(c).Length;
        }
        tokens.Sort();
    }

    /// <summary>
    /// Writes a position's marginals: max(exp(l + gate), <see cref="Floor"/>), which self-conditioning takes in place of the softmax.
    /// </summary>
    /// <param name="position">The position.</param>
    /// <param name="logits">[V], as they were read.</param>
    /// <param name="marginals">[V].</param>
    public void WriteMarginals(int position, ReadOnlySpan<T> logits, Span<T> marginals)
    {
        marginals.Fill(T.CreateChecked(Floor));
        ReadOnlySpan<double> gates = _paths.Gates(position);
        for (int c = 0; c < gates.Length; c++)
        {
            if (double.IsNegativeInfinity(gates[c])) continue;
            foreach (int token in _automaton.MembersOf(c))
                marginals[token] = T.CreateChecked(Math.Max(Math.Exp(double.CreateChecked(logits[token]) + gates[c]), Floor));
        }
    }
}
