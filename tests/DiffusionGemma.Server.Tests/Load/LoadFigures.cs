using System.Collections.Concurrent;
using System.Diagnostics;

namespace DiffusionGemma;

/// <summary>Figures of callers who ask again as soon as they are answered.</summary>
internal sealed class LoadFigures
{
    private LoadFigures(int asked, IReadOnlyList<LoadAnswer> answers, double seconds) =>
        (Asked, Answers, PerSecond) = (asked, answers, answers.Count / seconds);

    public int Asked { get; }

    public IReadOnlyList<LoadAnswer> Answers { get; }

    public double PerSecond { get; }

    public static async Task<LoadFigures> MeasureAsync(int callers, TimeSpan time, Func<int, Task<LoadAnswer>> ask)
    {
        var answers = new ConcurrentQueue<LoadAnswer>();
        int next = -1;
        var clock = Stopwatch.StartNew();
        await Task.WhenAll(Enumerable.Range(0, callers).Select(_ => Task.Run(CallAsync)));
        return new LoadFigures(next + 1, [.. answers], clock.Elapsed.TotalSeconds);

        async Task CallAsync()
        {
            do
            {
                int index = Interlocked.Increment(ref next);
                LoadAnswer answer = await ask(index);
                answer.Index = index;
                answers.Enqueue(answer);
            }
            while (clock.Elapsed < time);
        }
    }

    public double First(double share) => Percentile(Answers.Select(answer => answer.First), share);

    public double End(double share) => Percentile(Answers.Select(answer => answer.End), share);

    private static double Percentile(IEnumerable<double> values, double share)
    {
        double[] sorted = [.. values.Order()];
        return sorted[Math.Min(sorted.Length - 1, (int)(share * sorted.Length))];
    }
}
