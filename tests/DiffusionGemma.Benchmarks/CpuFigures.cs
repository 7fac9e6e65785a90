using System.Diagnostics;
using TorchSharp;
using static TorchSharp.torch;

namespace DiffusionGemma.Benchmarks;

/// <summary>What a thread reaches while so many do the same: products of the benchmark's shape, and memory beyond all caches.</summary>
/// <param name="Flops">A second, of each thread.</param>
/// <param name="MemoryBytes">A second, read and written, of each thread.</param>
internal sealed record CpuFigures(double Flops, double MemoryBytes)
{
    private const int Trials = 5;
    private static readonly TimeSpan Trial = TimeSpan.FromSeconds(0.3);

    /// <summary>
    /// The best of some trials, by the clock and by processor time: other programs take only of the first, so on a busy machine what several threads lose by
    /// working beside each other shows in the second alone.
    /// </summary>
    public static (CpuFigures Clock, CpuFigures Processor) Measure(int threads)
    {
        (double flops, double processorFlops) = Best(threads, () =>
        {
            const long Rows = 384, Inner = 512, Columns = 768;
            (Tensor a, Tensor b, Tensor c) = (rand(Rows, Inner), rand(Inner, Columns), empty(Rows, Columns));
            return (() => c.addmm_(a, b, beta: 0, alpha: 1), 2.0 * Rows * Inner * Columns);
        });
        (double bytes, double processorBytes) = Best(threads, () =>
        {
            const long Numbers = 1 << 25;
            (Tensor from, Tensor to) = (rand(Numbers), zeros(Numbers));
            return (() => to.add_(from), 3.0 * Numbers * sizeof(float));
        });
        return (new CpuFigures(flops, bytes), new CpuFigures(processorFlops, processorBytes));
    }

    private static (double Clock, double Processor) Best(int threads, Func<(Action Work, double Amount)> make)
    {
        (double clocked, double used) = (0, 0);
        for (int trial = 0; trial < Trials; trial++)
        {
            double[] rates = new double[threads], amounts = new double[threads];
            TimeSpan from = default, to = default;
            using Barrier ready = new(threads, _ => from = Environment.CpuUsage.TotalTime), over = new(threads, _ => to = Environment.CpuUsage.TotalTime);
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
                rates[n] = amounts[n] / clock.Elapsed.TotalSeconds;
                over.SignalAndWait();
            }))];
            foreach (Thread thread in all) thread.Start();
            foreach (Thread thread in all) thread.Join();
            clocked = Math.Max(clocked, rates.Average());
            used = Math.Max(used, amounts.Sum() / (to - from).TotalSeconds);
        }
        return (clocked, used);
    }
}
