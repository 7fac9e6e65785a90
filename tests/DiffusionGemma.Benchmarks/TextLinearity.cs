using System.Diagnostics;

namespace DiffusionGemma.Benchmarks;

/// <summary>Growth of time with the text, for lines without a space: ten times the text shall take about ten times as long.</summary>
internal static class TextLinearity
{
    private const int Small = 1_000_000, Large = 10 * Small;

    public static void Measure(DiffusionGemmaTokenizer tokenizer, bool quick)
    {
        var random = new Random(1);
        (string Name, Func<int, string> Line)[] kinds =
        [
            // What a merge may reach across everywhere is one piece of ten million characters.
            ("one_letter", length => new string('a', length)),
            ("word", length => string.Concat(Enumerable.Repeat("integration", length / 11 + 1))[..length]),
            ("letters", length =>
                string.Create(length, random, (line, random) => { foreach (ref char c in line) c = (char)('a' + random.Next(26)); })),
        ];
        foreach ((string name, Func<int, string> line) in kinds)
        {
            int scale = quick ? 10 : 1;
            double small = Best(tokenizer, line(Small / scale)), large = Best(tokenizer, line(Large / scale));
            Figure.Print($"text.line.{name}.ratio_time", large / small, "x");
            Figure.Print($"text.line.{name}.mbps.1", Large / scale / 1e6 / large, "MB/s");
        }
    }

    private static double Best(DiffusionGemmaTokenizer tokenizer, string line)
    {
        double best = double.MaxValue;
        for (int round = 0; round < 3; round++)
        {
            GC.Collect();
            var clock = Stopwatch.StartNew();
            tokenizer.CountTokens(line);
            best = Math.Min(best, clock.Elapsed.TotalSeconds);
        }
        return best;
    }
}
