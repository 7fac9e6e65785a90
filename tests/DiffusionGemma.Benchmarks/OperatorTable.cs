using static TorchSharp.torch;

namespace DiffusionGemma.Benchmarks;

/// <summary>
/// Milliseconds of each operator's two forms and how many times faster the managed one is, on one thread: the table that <see
/// cref="Kernels"/> chooses by. Processor time, the least of many calls in turns: what other programs on the machine take is then in
/// neither.
/// </summary>
internal static class OperatorTable
{
    private static readonly TimeSpan Trial = TimeSpan.FromSeconds(0.3);
    private const int LeastCalls = 5;

    /// <param name="quick">A few calls each.</param>
    /// <param name="part">Only operators whose names contain it; null: all.</param>
    public static void Run(bool quick, string? part)
    {
        DiffusionGemmaRuntime.EnsureUsable();
        set_num_threads(1);
        using IDisposable quiet = no_grad();
        foreach (OperatorCase one in OperatorCase.All().Where(c => part is null || c.Name.Contains(part, StringComparison.Ordinal)))
        {
            using var scope = NewDisposeScope();
            (Action managed, Action libTorch) = one.Make();
            (double ours, double theirs) = (double.PositiveInfinity, double.PositiveInfinity);
            TimeSpan start = Environment.CpuUsage.TotalTime;
            for (int call = 0; call < LeastCalls || !quick && Environment.CpuUsage.TotalTime - start < Trial; call++)
                (ours, theirs) = (Math.Min(ours, Milliseconds(managed)), Math.Min(theirs, Milliseconds(libTorch)));
            Figure.Print($"operators.{one.Name}.managed", ours, "ms");
            Figure.Print($"operators.{one.Name}.libtorch", theirs, "ms");
            Figure.Print($"operators.{one.Name}.ratio", theirs / ours, "x");
        }
    }

    private static double Milliseconds(Action action)
    {
        using var scope = NewDisposeScope();
        TimeSpan before = Environment.CpuUsage.TotalTime;
        action();
        return (Environment.CpuUsage.TotalTime - before).TotalMilliseconds;
    }
}
