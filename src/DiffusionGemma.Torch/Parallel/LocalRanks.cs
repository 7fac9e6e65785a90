using System.Runtime.ExceptionServices;
using TorchSharp;

namespace DiffusionGemma;

/// <summary>Runs ranks as threads of this process; the first that fails ends them all, with its own error.</summary>
internal static class LocalRanks
{
    /// <summary>Time, beyond a collective's own time-out, that a rank may take to notice that the group has failed.</summary>
    private static readonly TimeSpan Grace = TimeSpan.FromSeconds(1);

    /// <summary>Runs <paramref name="body"/> for every group on a thread of its own, and returns when all have ended.</summary>
    /// <param name="groups">This process's ranks.</param>
    /// <param name="threads">Threads that each rank's operators may use.</param>
    /// <param name="body">A rank's work.</param>
    /// <exception cref="Exception">
    /// The exception of the first rank that failed. A rank that hangs is left behind, and fails at its next collective.
    /// </exception>
    public static void Run(IReadOnlyList<IProcessGroup> groups, int threads, Action<IProcessGroup> body)
    {
        int own = torch.get_num_threads();
        var gate = new Lock();
        Exception? first = null;
        // Never disposed: a rank that hangs signals late.
        var ended = new CountdownEvent(groups.Count);
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
                        if (Replaces(e, first, ReferenceEquals(group, groups[0]))) first = e;
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

    /// <summary>
    /// Returns true if an exception says more than the one reported so far: a rank's own error more than a cancellation, and that more than
    /// the failure of another rank. Where all ranks are cancelled, the first rank's exception carries the caller's token.
    /// </summary>
    private static bool Replaces(Exception e, Exception? reported, bool isFirstRank)
    {
        if (reported is null) return true;
        int severity = Severity(e), reportedSeverity = Severity(reported);
        return severity > reportedSeverity || severity == reportedSeverity && e is OperationCanceledException && isFirstRank;
    }

    private static int Severity(Exception e) => e switch { ProcessGroupException => 0, OperationCanceledException => 1, _ => 2 };
}
