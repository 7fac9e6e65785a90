using System.Numerics.Tensors;

namespace DiffusionGemma;

/// <summary>
/// Sums over the paths of a canvas through a token automaton, by the forward-backward algorithm, and the likeliest path, by Viterbi's.
/// Everything in logarithms: paths differ by more than a double's range. One object serves one canvas length of one automaton, a step at a
/// time.
/// </summary>
/// <param name="automaton">The grammar over tokens.</param>
/// <param name="positions">Positions of a canvas.</param>
internal sealed class GrammarPaths(TokenAutomaton automaton, int positions)
{
    private readonly double[] _backward = new double[(positions + 1) * automaton.States];
    private readonly double[] _forward = new double[(positions + 1) * automaton.States];
    private readonly double[] _gates = new double[positions * automaton.ClassCount];
    private readonly double[] _values = new double[automaton.Edges.Count];
    private readonly double[] _exponentials = new double[automaton.Edges.Count];
    private readonly int[] _came = new int[positions * automaton.States];
    private readonly double[] _scores = new double[2 * automaton.States];

    /// <summary>log Σ over the language of Π exp(l): minus infinity where no path of this length is possible.</summary>
    public double LogTotal { get; private set; }

    /// <summary>[classes] of a position: what is added to a token's l to make its logarithmic probability given the language.</summary>
    public ReadOnlySpan<double> Gates(int position) => _gates.AsSpan(position * automaton.ClassCount, automaton.ClassCount);

    /// <summary>log Σ over the paths from a state at a position to an end.</summary>
    public double Backward(int position, int state) => _backward[position * automaton.States + state];

    /// <summary>log Σ over the paths from the start to a state at a position.</summary>
    public double Forward(int position, int state) => _forward[position * automaton.States + state];

    /// <summary>The backward sums: β_C(s) = [s ends], β_i(s) = log Σ exp(l_i(class) + β_{i+1}(next)).</summary>
    /// <param name="logSums">[positions, classes].</param>
    /// <param name="count">Positions that count, from the first.</param>
    /// <param name="start">The state before them.</param>
    /// <param name="ends">[states]: where the canvas may stop.</param>
    /// <returns>False where no path is possible.</returns>
    public bool SumBackward(double[] logSums, int count, int start, bool[] ends)
    {
        (AutomatonEdges edges, int states, int classes) = (automaton.Edges, automaton.States, automaton.ClassCount);
        for (int s = 0; s < states; s++) _backward[count * states + s] = ends[s] ? 0 : double.NegativeInfinity;
        for (int i = count - 1; i >= 0; i--)
        {
            ReadOnlySpan<double> next = _backward.AsSpan((i + 1) * states, states), sums = logSums.AsSpan(i * classes, classes);
            for (int e = 0; e < _values.Length; e++) _values[e] = sums[edges.Classes[e]] + next[edges.Targets[e]];
            SumGroups(edges.First, _backward.AsSpan(i * states, states));
        }
        LogTotal = Backward(0, start);
        return !double.IsNegativeInfinity(LogTotal);
    }

    /// <summary>The forward sums, and from both the gates. Call after <see cref="SumBackward"/>.</summary>
    public void SumForward(double[] logSums, int count, int start)
    {
        (AutomatonEdges edges, int states, int classes) = (automaton.Edges, automaton.States, automaton.ClassCount);
        _forward.AsSpan(0, states).Fill(double.NegativeInfinity);
        _forward[start] = 0;
        for (int i = 0; i < count; i++)
        {
            ReadOnlySpan<double> now = _forward.AsSpan(i * states, states), next = _backward.AsSpan((i + 1) * states, states);
            ReadOnlySpan<double> sums = logSums.AsSpan(i * classes, classes);
            for (int n = 0; n < _values.Length; n++)
            {
                int e = edges.ByClass[n];
                _values[n] = now[edges.Sources[e]] + next[edges.Targets[e]] - LogTotal;
            }
            SumGroups(edges.FirstByClass, _gates.AsSpan(i * classes, classes));
            for (int n = 0; n < _values.Length; n++)
            {
                int e = edges.ByTarget[n];
                _values[n] = now[edges.Sources[e]] + sums[edges.Classes[e]];
            }
            SumGroups(edges.FirstByTarget, _forward.AsSpan((i + 1) * states, states));
        }
    }

    /// <summary>
    /// The likeliest path; of equal ones that of the lowest last state, then at each step back of the lowest token, then of the lowest
    /// state.
    /// </summary>
    /// <param name="maxima">[positions, classes].</param>
    /// <param name="likeliest">[positions, classes]: the token of each maximum.</param>
    /// <param name="count">Positions that count, from the first.</param>
    /// <param name="start">The state before them.</param>
    /// <param name="ends">[states]: where the canvas may stop.</param>
    /// <param name="path">[positions]: receives the tokens in order.</param>
    /// <returns>The state after the path; -1 where there is none.</returns>
    public int FindBest(double[] maxima, int[] likeliest, int count, int start, bool[] ends, Span<int> path)
    {
        (AutomatonEdges edges, int states, int classes) = (automaton.Edges, automaton.States, automaton.ClassCount);
        Span<double> now = _scores.AsSpan(0, states), next = _scores.AsSpan(states, states);
        now.Fill(double.NegativeInfinity);
        now[start] = 0;
        for (int i = 0; i < count; i++)
        {
            ReadOnlySpan<double> tops = maxima.AsSpan(i * classes, classes);
            ReadOnlySpan<int> tokens = likeliest.AsSpan(i * classes, classes);
            for (int s = 0; s < states; s++)
            {
                (double best, int way) = (double.NegativeInfinity, -1);
                foreach (int e in edges.Into(s))
                {
                    double score = now[edges.Sources[e]] + tops[edges.Classes[e]];
                    if (score < best || double.IsNegativeInfinity(score)) continue;
                    if (score == best && (tokens[edges.Classes[way]], edges.Sources[way]).CompareTo(
                        (tokens[edges.Classes[e]], edges.Sources[e])) <= 0) continue;
                    (best, way) = (score, e);
                }
                next[s] = best;
                _came[i * states + s] = way;
            }
            Span<double> spare = now;
            now = next;
            next = spare;
        }
        (int last, double most) = (-1, double.NegativeInfinity);
        for (int s = 0; s < states; s++)
            if (ends[s] && now[s] > most) (last, most) = (s, now[s]);
        if (last < 0) return -1;
        for (int i = count - 1, s = last; i >= 0; i--)
        {
            int way = _came[i * states + s];
            path[i] = likeliest[i * classes + edges.Classes[way]];
            s = edges.Sources[way];
        }
        return last;
    }

    /// <summary>log Σ exp of each group of <see cref="_values"/>.</summary>
    private void SumGroups(int[] first, Span<double> sums)
    {
        for (int group = 0; group < sums.Length; group++)
        {
            double largest = double.NegativeInfinity;
            for (int n = first[group]; n < first[group + 1]; n++) largest = Math.Max(largest, _values[n]);
            sums[group] = largest;
            if (double.IsNegativeInfinity(largest)) largest = 0;
            for (int n = first[group]; n < first[group + 1]; n++) _values[n] -= largest;
        }
        TensorPrimitives.Exp(_values, _exponentials);
        for (int group = 0; group < sums.Length; group++)
        {
            if (double.IsNegativeInfinity(sums[group])) continue;
            double sum = 0;
            for (int n = first[group]; n < first[group + 1]; n++) sum += _exponentials[n];
            sums[group] += Math.Log(sum);
        }
    }
}
