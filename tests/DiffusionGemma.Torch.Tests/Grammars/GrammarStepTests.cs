using System.Numerics;
using System.Text.Json;

namespace DiffusionGemma;

/// <summary>Conditioning on a language, against the reference's cases and against looking at every string.</summary>
public class GrammarStepTests
{
    [Fact]
    public void The_reference_s_cases()
    {
        using JsonDocument cases = JsonDocument.Parse(File.ReadAllText(Fixtures.Path("constrained", "automata.json")));
        int count = 0;
        foreach (JsonElement one in cases.RootElement.EnumerateArray())
        {
            int[][] next = one.GetProperty("next").Deserialize<int[][]>()!;
            double[][] p = one.GetProperty("p").Deserialize<double[][]>()!, marginals = one.GetProperty("marginals").Deserialize<double[][
]>()!;
            bool[] final = one.GetProperty("final").Deserialize<bool[]>()!;
            var automaton = AutomatonTable.Read(next, one.GetProperty("start").GetInt32(), [.. final.Select(f => f ? 0 : -1)]);
            double[][] logits = [.. p.Select(row => Array.ConvertAll(row, Math.Log))];
            GrammarStep<double> step = Condition(automaton, logits, automaton.Finals());
            step.Draw(logits.Length, automaton.Start, i => logits[i], one.GetProperty("uniforms").Deserialize<double[]>(), _ => -1);

            Assert.Equal(one.GetProperty("log_z").GetDouble(), step.LogTotal, 1e-9);
            Assert.Equal(one.GetProperty("sample").Deserialize<int[]>(), step.Sample);
            Assert.Equal(one.GetProperty("path").Deserialize<int[]>(), step.Best);
            Assert.Equal(one.GetProperty("last").GetInt32(), step.Last);
            for (int i = 0; i < p.Length; i++) AssertMarginals(marginals[i], step, i, logits[i], 1e-9);
            count++;
        }
        Assert.Equal(12, count);
    }

    [Fact]
    public void Enumeration_of_a_thousand_automata()
    {
        var random = new Random(1);
        for (int n = 0; n < 1000; n++)
        {
            (TokenAutomaton automaton, int[][] next, double[][] logits) = Draw(random);
            bool[] ends = automaton.Finals();
            (double total, double[][] marginals, int[]? best) = Enumerate(next, automaton, logits, ends);
            GrammarStep<double> step = new(automaton, logits.Length);
            for (int i = 0; i < logits.Length; i++) step.Read(i, logits[i]);
            if (total == 0)
            {
                Assert.False(step.Condition(logits.Length, 0, ends), $"case {n}");
                continue;
            }
            Assert.True(step.Condition(logits.Length, 0, ends), $"case {n}");
            Assert.Equal(Math.Log(total), step.LogTotal, 1e-9);
            Assert.Equal(best, step.Best);
            for (int i = 0; i < logits.Length; i++) AssertMarginals(marginals[i], step, i, logits[i], 1e-9);
            step.Draw(logits.Length, 0, i => logits[i], [.. logits.Select(_ => random.NextDouble())], _ => -1);
            Assert.True(EndState(next, ends, step.Sample) >= 0, $"case {n}");
        }
    }

    [Fact]
    public void Float32_keeps_five_digits()
    {
        var random = new Random(2);
        for (int n = 0; n < 200; n++)
        {
            (TokenAutomaton automaton, int[][] _, double[][] logits) = Draw(random);
            float[][] narrow = [.. logits.Select(row => row.Select(l => (float)l).ToArray())];
            double[][] wide = [.. narrow.Select(row => row.Select(l => (double)l).ToArray())];
            (GrammarStep<double> a, GrammarStep<float> b) = (new(automaton, logits.Length), new(automaton, logits.Length));
            for (int i = 0; i < logits.Length; i++)
            {
                a.Read(i, wide[i]);
                b.Read(i, narrow[i]);
            }
            bool[] ends = automaton.Finals();
            Assert.Equal(a.Condition(logits.Length, 0, ends), b.Condition(logits.Length, 0, ends));
            if (double.IsNegativeInfinity(a.LogTotal)) continue;
            Assert.Equal(a.LogTotal, b.LogTotal, 1e-5 * Math.Max(1, Math.Abs(a.LogTotal)));
            for (int i = 0; i < logits.Length; i++) Assert.Equal(a.Entropies[i], b.Entropies[i], 1e-5);
        }
    }

    /// <summary>A language that the model all but excludes: e^-3000 of its belief. The sums must not vanish.</summary>
    [Fact]
    public void A_language_that_the_model_dislikes_keeps_its_shape()
    {
        int[][] next = [[0, -1, 1], [1, -1, -1]];
        var automaton = AutomatonTable.Read(next, 0, [-1, 0]);
        float[][] logits = [.. Enumerable.Range(0, 20).Select(_ => new float[] { -150, 0, -150.5f })];
        GrammarStep<float> step = new(automaton, logits.Length);
        for (int i = 0; i < logits.Length; i++) step.Read(i, logits[i]);
        Assert.True(step.Condition(logits.Length, 0, automaton.Finals()));
        double weight = Math.Exp(-0.5);
        Assert.Equal(-150 * 20 + Math.Log(20 * weight), step.LogTotal, 1e-3);
        for (int i = 0; i < logits.Length; i++) AssertMarginals([0.95, 0, 0.05], step, i, logits[i], 1e-5);
    }

    [Fact]
    public void Samples_come_as_often_as_their_marginals_say()
    {
        var random = new Random(3);
        (TokenAutomaton automaton, int[][] next, double[][] logits) = Draw(random);
        bool[] ends = automaton.Finals();
        (double total, double[][] marginals, _) = Enumerate(next, automaton, logits, ends);
        Assert.True(total > 0);
        GrammarStep<double> step = Condition(automaton, logits, ends);
        var counts = logits.Select(row => new double[row.Length]).ToArray();
        const int Draws = 20_000;
        for (int n = 0; n < Draws; n++)
        {
            step.Draw(logits.Length, 0, i => logits[i], [.. logits.Select(_ => random.NextDouble())], _ => -1);
            for (int i = 0; i < logits.Length; i++) counts[i][step.Sample[i]]++;
        }
        // Five standard deviations of a frequency: 5 · √(1/4 / 20 000).
        for (int i = 0; i < logits.Length; i++)
            for (int v = 0; v < counts[i].Length; v++) Assert.Equal(marginals[i][v], counts[i][v] / Draws, 0.018);
    }

    [Fact]
    public void Where_the_free_argmax_is_in_the_language_it_is_the_best()
    {
        var random = new Random(4);
        int met = 0;
        for (int n = 0; n < 3000; n++)
        {
            (TokenAutomaton automaton, int[][] next, double[][] logits) = Draw(random);
            bool[] ends = automaton.Finals();
            int[] argmax = [.. logits.Select(row => Array.IndexOf(row, row.Max()))];
            if (EndState(next, ends, argmax) < 0) continue;
            met++;
            Assert.Equal(argmax, Condition(automaton, logits, ends).Best);
        }
        Assert.True(met > 100, $"only {met} cases had their argmax in the language");
    }

    [Fact]
    public void A_pinned_position_is_its_token()
    {
        int[][] next = [[0, 1, -1], [1, -1, 0]];
        var automaton = AutomatonTable.Read(next, 0, [0, -1]);
        double[][] logits = [[0, 1, 2], [1, 0, 1], [0, 0, 0]];
        GrammarStep<double> step = new(automaton, 3);
        for (int i = 0; i < 3; i++) step.Read(i, logits[i]);
        step.Pin(1, 2);
        Assert.True(step.Condition(logits.Length, 0, automaton.Finals()));
        Assert.Equal(2, step.Best[1]);
        step.Draw(logits.Length, 0, i => logits[i], [0.5, 0.5, 0.5], i => i == 1 ? 2 : -1);
        Assert.Equal([1, 2, 0],
            step.Sample);                                                // only 1 leads to where 2 may follow, only 0 ends well
        Assert.Equal(0, step.Entropies[1]);
        step.Pin(1, 1);
        step.Pin(2, 1);
        Assert.False(step.Condition(logits.Length, 0, automaton.Finals()));
    }

    [Fact]
    public void Scores_of_labels_are_shares_of_their_ends()
    {
        int[][] next = [[1, 2, -1], [-1, -1, 1], [-1, -1, 2]];
        var automaton = AutomatonTable.Read(next, 0, [-1, 0, 1]);
        double[][] logits = [[Math.Log(0.2), Math.Log(0.3), Math.Log(0.5)], [0, 0, 0]];
        double[] scores = Condition(automaton, logits, automaton.Finals()).Scores(2);
        Assert.Equal(0.4, scores[0], 1e-12);
        Assert.Equal(0.6, scores[1], 1e-12);
    }

    private static GrammarStep<double> Condition(TokenAutomaton automaton, double[][] logits, bool[] ends)
    {
        var step = new GrammarStep<double>(automaton, logits.Length);
        for (int i = 0; i < logits.Length; i++) step.Read(i, logits[i]);
        Assert.True(step.Condition(logits.Length, automaton.Start, ends));
        return step;
    }

    private static void AssertMarginals<T>(double[] expected, GrammarStep<T> step, int position, T[] logits, double tolerance)
        where T : unmanaged, IBinaryFloatingPointIeee754<T>
    {
        var marginals = new T[expected.Length];
        step.WriteMarginals(position, logits, marginals);
        double entropy = 0;
        for (int v = 0; v < expected.Length; v++)
        {
            Assert.Equal(expected[v], double.CreateChecked(marginals[v]), tolerance);
            if (expected[v] > 0) entropy -= expected[v] * Math.Log(expected[v]);
        }
        Assert.Equal(entropy, step.Entropies[position], 10 * tolerance);
    }

    private static (TokenAutomaton Automaton, int[][] Next, double[][] Logits) Draw(Random random)
    {
        int states = random.Next(1, 5), vocabulary = random.Next(2, 6), length = random.Next(1, 6);
        int[][] next = [.. Enumerable.Range(0, states).Select(
            _ => Enumerable.Range(0, vocabulary).Select(_ => Math.Max(random.Next(-2, states), -1)).ToArray())];
        int[] answers = [.. Enumerable.Range(0, states).Select(_ => random.Next(2) - 1)];
        double[][] logits = [.. Enumerable.Range(0, length).Select(_ =>
            Enumerable.Range(0, vocabulary).Select(_ => random.NextDouble() * 8 - 4).ToArray())];
        return (AutomatonTable.Read(next, 0, answers), next, logits);
    }

    private static (double Total, double[][] Marginals, int[]? Best) Enumerate(
        int[][] next, TokenAutomaton automaton, double[][] logits, bool[] ends)
    {
        int vocabulary = automaton.VocabularySize, length = logits.Length;
        var marginals = logits.Select(row => new double[row.Length]).ToArray();
        (double total, double most, int[]? best) = (0, 0, null);
        var text = new int[length];
        for (long n = 0; n < (long)Math.Pow(vocabulary, length); n++)
        {
            long rest = n;
            for (int i = length - 1; i >= 0; i--, rest /= vocabulary) text[i] = (int)(rest % vocabulary);
            if (EndState(next, ends, text) < 0) continue;
            double weight = Math.Exp(text.Select((v, i) => logits[i][v]).Sum());
            total += weight;
            for (int i = 0; i < length; i++) marginals[i][text[i]] += weight;
            if (weight > most) (most, best) = (weight, [.. text]);
        }
        foreach (double[] row in marginals)
            for (int v = 0; v < row.Length; v++) row[v] /= total;
        return (total, marginals, best);
    }

    /// <summary>The state that a string ends in, -1 where it is not in the language.</summary>
    private static int EndState(int[][] next, bool[] ends, int[] text)
    {
        int state = 0;
        foreach (int token in text)
        {
            state = next[state][token];
            if (state < 0) return -1;
        }
        return ends[state] ? state : -1;
    }
}
