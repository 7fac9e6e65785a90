using System.Diagnostics;

namespace DiffusionGemma;

/// <summary>
/// A barrier for the threads of one group: each brings its request, the last to arrive compares them, and either all go on or all throw.
/// Between <see cref="Begin"/> and <see cref="End"/> a rank may use the tensors of the others' requests.
/// </summary>
internal sealed class RankBarrier(IReadOnlyList<RankStatus> ranks, TimeSpan timeout, GroupFailure failure)
{
    /// <summary>
    /// Spins before a wait blocks: ranks that work on equal parts arrive within some microseconds of each other, and waking a thread takes
    /// tens. Each spin after the first few yields the core, so that more ranks than cores can arrive.
    /// </summary>
    private const int Spins = 30;

    /// <summary>The limit of one <see cref="Monitor.Wait(object, TimeSpan)"/>, whose own argument is bounded.</summary>
    private static readonly TimeSpan LongestWait = TimeSpan.FromDays(1);

    private readonly CollectiveRequest?[] _requests = new CollectiveRequest?[ranks.Count];
    private readonly bool[] _present = new bool[ranks.Count];
    private IReadOnlyList<RankBarrier> _subgroups = [];
    private (long Number, CollectiveCall Call)? _last;
    private int _arrived;
    private volatile int _round;

    public IReadOnlyList<RankStatus> Ranks => ranks;

    public TimeSpan Timeout => timeout;

    public GroupFailure Failure => failure;

    /// <summary>The request of a rank.</summary>
    public CollectiveRequest this[int rank] => _requests[rank]!;

    /// <summary>
    /// Returns the barrier of the ranks with the same color as this one, and the rank's number there; after the <see cref="Begin"/> of a
    /// split.
    /// </summary>
    public (RankBarrier Barrier, int Rank) SubgroupOf(int rank)
    {
        RankBarrier subgroup = _subgroups.First(group => group.Ranks.Contains(ranks[rank]));
        return (subgroup, subgroup.Ranks.ToList().IndexOf(ranks[rank]));
    }

    /// <summary>Returns once all ranks have arrived with matching requests.</summary>
    /// <exception cref="ProcessGroupException">The requests differ, a rank did not arrive in time, or the group has failed.</exception>
    public void Begin(int rank, long number, CollectiveRequest request)
    {
        int round;
        lock (failure.Gate)
        {
            failure.ThrowIfFailed(ranks[rank], number, request.Call);
            round = _round;
            _requests[rank] = request;
            if (_arrived == ranks.Count - 1) Compare(request.Call);
            failure.ThrowIfFailed(ranks[rank], number, request.Call);
            if (Arrive(rank)) return;
        }
        Spin(round);
        long start = Stopwatch.GetTimestamp();
        lock (failure.Gate)
        {
            // Once the round is over the others count on this rank to reach End, even if the group fails meanwhile.
            while (_round == round)
            {
                failure.ThrowIfFailed(ranks[rank], number, request.Call);
                bool isInfinite = timeout == System.Threading.Timeout.InfiniteTimeSpan;
                TimeSpan left = isInfinite ? LongestWait : timeout - Stopwatch.GetElapsedTime(start);
                if (left > TimeSpan.Zero) Monitor.Wait(failure.Gate, left < LongestWait ? left : LongestWait);
                else failure.Fail(GroupFailure.DescribeTimeout(timeout, ranks.Where((_, r) => !_present[r]), _last));
            }
        }
        void Compare(CollectiveCall call)
        {
            if (CollectiveRequest.FindMismatch(ranks, _requests!) is { } mismatch) failure.Fail(mismatch);
            else if (call.Operation == Collective.Split) _subgroups = Subgroups();
            _last = (number, call);
        }
    }

    /// <summary>
    /// Returns once no rank uses the tensors of others. It has no time-out: between the two calls a rank waits for nobody, and freeing
    /// memory that another still reads would crash the process.
    /// </summary>
    public void End(int rank)
    {
        int round;
        lock (failure.Gate)
        {
            round = _round;
            if (Arrive(rank)) return;
        }
        Spin(round);
        lock (failure.Gate)
        {
            while (_round == round) Monitor.Wait(failure.Gate);
        }
    }

    /// <summary>Marks a rank as arrived; the last one starts the next round, wakes the others and gets true.</summary>
    private bool Arrive(int rank)
    {
        _present[rank] = true;
        if (++_arrived < ranks.Count) return false;
        _arrived = 0;
        Array.Clear(_present);
        _round++;
        Monitor.PulseAll(failure.Gate);
        return true;
    }

    private void Spin(int round)
    {
        var spin = new SpinWait();
        while (spin.Count < Spins && _round == round && !failure.HasFailed) spin.SpinOnce(sleep1Threshold: -1);
    }

    private RankBarrier[] Subgroups() =>
    [
        .. Enumerable.Range(0, ranks.Count).GroupBy(r => _requests[r]!.Color)
            .Select(group => new RankBarrier([.. group.Select(r => ranks[r])], timeout, failure)),
    ];
}
