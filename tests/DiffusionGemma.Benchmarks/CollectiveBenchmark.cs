using System.Diagnostics;
using static TorchSharp.torch;

namespace DiffusionGemma.Benchmarks;

/// <summary>
/// In-process collectives: bytes that leave a rank for others (as many come in) a second, at some sizes of what each rank hands in; and
/// what an empty one takes.
/// </summary>
internal static class CollectiveBenchmark
{
    private const int Trials = 5, ShortTrials = 50;
    private static readonly long[] Kibibytes = [64, 1024, 16384, 65536];

    /// <param name="AllToAll">Bytes a second that leave a rank, at 1 MiB and more the best.</param>
    /// <param name="ReduceScatter">The same.</param>
    /// <param name="Latency">Seconds of an all-to-all of one row of 8 bytes for each rank.</param>
    public sealed record Reached(double AllToAll, double ReduceScatter, double Latency);

    public static Reached Run(int ranks, bool quick)
    {
        (double allToAll, double reduceScatter) = (0, 0);
        foreach (long size in quick ? Kibibytes[..3] : Kibibytes)
        {
            long numbers = size * 1024 / sizeof(float) / ranks * ranks;
            double leaving = (double)numbers * sizeof(float) * (ranks - 1) / ranks;
            double exchanged = leaving / Seconds(ranks, size, AllToAll(numbers)), summed =
                leaving / Seconds(ranks, size, ReduceScatter(numbers));
            Figure.Print($"parallel.all_to_all.ranks{ranks}.kib{size}.gbps", exchanged / 1e9, "GB/s");
            Figure.Print($"parallel.reduce_scatter.ranks{ranks}.kib{size}.gbps", summed / 1e9, "GB/s");
            if (size < 1024) continue;
            (allToAll, reduceScatter) = (Math.Max(allToAll, exchanged), Math.Max(reduceScatter, summed));
        }
        double latency = Seconds(ranks, 0, AllToAll(ranks));
        Figure.Print($"parallel.all_to_all.ranks{ranks}.latency_us", latency * 1e6, "us");
        return new Reached(allToAll, reduceScatter, latency);
    }

    private static Func<IProcessGroup, Action> AllToAll(long numbers) => group =>
    {
        const long RowNumbers = 1;
        long[] rows = [.. Enumerable.Repeat(numbers / RowNumbers / group.Size, group.Size)];
        (Tensor input, Tensor output) = (rand(numbers / RowNumbers, RowNumbers), empty(numbers / RowNumbers, RowNumbers));
        return () => group.AllToAll(input, rows, output, rows);
    };

    private static Func<IProcessGroup, Action> ReduceScatter(long numbers) => group =>
    {
        Tensor input = zeros(numbers), output = empty(numbers / group.Size);
        return () => group.ReduceScatter(input, output);
    };

    /// <summary>Time of one collective, in the fastest of some trials of a few.</summary>
    private static double Seconds(int ranks, long kibibytes, Func<IProcessGroup, Action> make)
    {
        // Short ones many times: on a busy machine few trials are left alone.
        (int times, int trials) = kibibytes < 1024 ? (20, ShortTrials) : ((int)Math.Clamp(65536 / kibibytes, 3, 20), Trials);
        double best = double.PositiveInfinity;
        LocalRanks.Run(InProcessGroup.Create(ranks, TimeSpan.FromMinutes(1)), threads: 1, group =>
        {
            Action collective = make(group);
            collective();
            for (int trial = 0; trial < trials; trial++)
            {
                group.Barrier();
                var clock = Stopwatch.StartNew();
                for (int n = 0; n < times; n++) collective();
                if (group.Rank == 0) best = Math.Min(best, clock.Elapsed.TotalSeconds / times);
            }
        });
        return best;
    }
}
