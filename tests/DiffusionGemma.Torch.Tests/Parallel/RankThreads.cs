using TorchSharp;

namespace DiffusionGemma;

/// <summary>A thread for each rank of a group.</summary>
internal static class RankThreads
{
    /// <summary>Returns each rank's exception, or null. A rank that has not ended after five minutes fails the test.</summary>
    public static Exception?[] Run(IReadOnlyList<IProcessGroup> groups, Action<IProcessGroup> rank)
    {
        var ends = new Exception?[groups.Count];
        Thread[] threads = [.. groups.Select((group, r) => new Thread(() =>
        {
            try
            {
                torch.set_num_threads(1);
                using var scope = torch.NewDisposeScope();
                rank(group);
            }
            catch (Exception e)
            {
                ends[r] = e;
            }
        }) { IsBackground = true })];
        foreach (Thread thread in threads) thread.Start();
        if (!threads.All(thread => thread.Join(TimeSpan.FromMinutes(5)))) throw new TimeoutException("A rank has not ended.");
        return ends;
    }

    /// <summary>The same, where every rank must end well.</summary>
    public static void Succeed(IReadOnlyList<IProcessGroup> groups, Action<IProcessGroup> rank)
    {
        Exception[] failures = [.. Run(groups, rank).OfType<Exception>()];
        if (failures.Length > 0) throw new AggregateException(failures);
    }
}
