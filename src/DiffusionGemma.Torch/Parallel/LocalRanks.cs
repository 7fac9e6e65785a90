using System.Runtime.ExceptionServices;
using TorchSharp;

namespace DiffusionGemma;

/// <summary>Runs ranks as threads of this process; the first that fails ends them all, with its own error.</summary>
internal static class LocalRanks
{
    /// <summary>How long, beyond a collective's own time-out, a rank may take to notice that the others are done for.</summary>
    private static readonly TimeSpan Grace = TimeSpan.FromSeconds(1);

    /// <summary>
    /// What a rank throws because another failed says less than what that other threw. All that were cancelled throw; the first rank knows who asked for it.
    /// </summary>
    private static int Says(Exception e) => e switch { ProcessGroupException => 0, OperationCanceledException => 1, _ => 2 };

    /// <summary>Runs <paramref name="body"/> for every group on a thread of its own, and returns when all have.</summary>
    /// <param name="groups">This process's ranks.</param>
    /// <param name="threads">Threads that each rank's operators may use.</param>
    /// <param name="body">What a rank does.</param>
    /// <exception cref="Exception">What the first rank that failed threw. A rank that hangs is left behind, and fails at its next collective.</exception>
    public static void Run(IReadOnlyList<IProcessGroup> groups, int threads, Action<IProcessGroup> body)
    {
        int own = torch.get_num_threads();
        var gate = new Lock();
        Exception? first = null;
        var ended = new CountdownEvent(groups.Count);                                            // never disposed: a rank that hangs signals late
        var failed = new ManualResetEventSlim();
        foreach (IProcessGroup group in groups)
        {
            void Rank()
            {
                try
                {
                    TorchThreads.SetHere(threads, elsewhere: own);
                    using var scope = torch.NewDisposeScope();
                    body(group);
                }
                catch (Exception e)
                {
                    lock (gate)
                        if (first is null || Says(e) > Says(first) || e is OperationCanceledException && Says(first) == Says(e) && ReferenceEquals(group, groups[0])) first = e;
                    group.Abort(e);
                    failed.Set();
                }
                finally
                {
                    ended.Signal();
                }
            }
            new Thread(Rank) { Name = $"rank {group.Rank}", IsBackground = true }.Start();
        }
        WaitHandle.WaitAny([ended.WaitHandle, failed.WaitHandle]);
        if (failed.IsSet)
        {
            // Ranks that compute end at their next collective. One that the others have waited for in vain will hardly come now.
            bool isHung;
            lock (gate) isHung = first is ProcessGroupException { InnerException: null };
            ended.Wait(isHung ? Grace : groups[0].Timeout);
        }
        lock (gate)
            if (first is not null) ExceptionDispatchInfo.Throw(first);
    }
}
