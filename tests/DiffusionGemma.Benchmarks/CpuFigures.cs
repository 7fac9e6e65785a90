using System.Diagnostics;
using static TorchSharp.torch;

namespace DiffusionGemma.Benchmarks;

/// <summary>
/// Work that a thread does in a second of processor time while so many do the same: products of the benchmark's shape, and memory beyond
/// all caches. Other programs take none of that time.
/// </summary>
/// <param name="Flops">A second, of each thread.</param>
/// <param name="MemoryBytes">A second, read and written, of each thread.</param>
internal sealed record CpuFigures(double Flops, double MemoryBytes)
{
    private const int Trials = 9;
    private static readonly TimeSpan Trial = TimeSpan.FromSeconds(0.25);

    /// <summary>
    /// One thread alone, and each of several. In turns, and the median of each: on a busy machine the one is then as disturbed as the
    /// other.
    /// </summary>
    public static (CpuFigures Alone, CpuFigures Together) Measure(int threads)
    {
        var flops = InTurns(threads, () =>
        {
            const long Rows = 384, Inner = 512, Columns = 768;
            (Tensor a, Tensor b, Tensor c) = (rand(Rows, Inner), rand(Inner, Columns), empty(Rows, Columns));
            return (() => c.addmm_(a, b, beta: 0, alpha: 1), 2.0 * Rows * Inner * Columns);
        });
        var bytes = InTurns(threads, () =>
        {
            const long Numbers = 1 << 25;
            (Tensor from, Tensor to) = (rand(Numbers), zeros(Numbers));
            return (() => to.add_(from), 3.0 * Numbers * sizeof(float));
        });
        return (new CpuFigures(flops.Alone, bytes.Alone), new CpuFigures(flops.Together, bytes.Together));
    }

    private static (double Alone, double Together) InTurns(int threads, Func<(Action Work, double Amount)> make)
    {
        (List<double> alone, List<double> together) = ([], []);
        for (int trial = 0; trial < Trials; trial++)
        {
            alone.Add(Once(1, make));
            together.Add(Once(threads, make));
        }
        static double Median(IEnumerable<double> rates) => rates.Order().ElementAt(Trials / 2);
        return (Median(alone), Median(together));
    }

    private static double Once(int threads, Func<(Action Work, double Amount)> make)
    {
        double[] amounts = new double[threads];
        TimeSpan from = default, to = default;
        using Barrier ready = new(threads, _ => from = Environment.CpuUsage.TotalTime), over =
            new(threads, _ => to = Environment.CpuUsage.TotalTime);
        Thread[] all = [.. Enumerable.Range(0, threads).Select(n => new Thread(() =>
        {
            set_num_threads(1);
            using var scope = NewDisposeScope();
            (Action work, double amount) = make();
            work();
            ready.SignalAndWait();
            var clock = Stopwatch.StartNew();
            int done = 0;
            for (; clock.Elapsed < Trial; done++)
            {
                using var inner = NewDisposeScope();
                work();
            }
            amounts[n] = done * amount;
            over.SignalAndWait();
        }))];
        foreach (Thread thread in all) thread.Start();
        foreach (Thread thread in all) thread.Join();
        return amounts.Sum() / (to - from).TotalSeconds;
    }
}
