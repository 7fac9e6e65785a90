using System.Diagnostics;

namespace DiffusionGemma;

/// <summary>
/// Where the threads of one group meet: each brings its post, the last to come compares them, and either all go on or all throw. Between
/// <see cref="Begin"/> and <see cref="End"/> a rank may use what the others posted.
/// </summary>
internal sealed class Meeting(IReadOnlyList<RankPlace> ranks, TimeSpan timeout, GroupFailure failure)
{
    /// <summary>
    /// Looks before a wait blocks: ranks that work on equal parts come within some microseconds of each other, and to be woken takes tens. Each look
    /// after the first few gives the core to another thread that wants it, so ranks beyond the cores are not kept from coming.
    /// </summary>
    private const int Spins = 30;

    /// <summary>A wait at a time: a monitor's own is bounded.</summary>
    private static readonly TimeSpan Longest = TimeSpan.FromDays(1);

    private readonly CollectivePost?[] _posts = new CollectivePost?[ranks.Count];
    private readonly bool[] _present = new bool[ranks.Count];
    private IReadOnlyList<Meeting> _parts = [];
    private (long Number, CollectiveCall Call)? _last;
    private int _arrived;
    private volatile int _round;

    public IReadOnlyList<RankPlace> Ranks => ranks;

    public TimeSpan Timeout => timeout;

    public GroupFailure Failure => failure;

    /// <summary>What a rank posted.</summary>
    public CollectivePost this[int rank] => _posts[rank]!;

    /// <summary>The meeting place of the ranks that gave the same colour as this one, and the rank's place in it; after the <see cref="Begin"/> of a split.</summary>
    public (Meeting Part, int Rank) PartOf(int rank)
    {
        Meeting part = _parts.First(p => p.Ranks.Contains(ranks[rank]));
        return (part, part.Ranks.ToList().IndexOf(ranks[rank]));
    }

    /// <summary>Returns once all ranks have come with fitting posts.</summary>
    /// <exception cref="ProcessGroupException">They do not fit, somebody did not come in time, or the group has failed.</exception>
    public void Begin(int rank, long number, CollectivePost post)
    {
        int round;
        lock (failure.Gate)
        {
            failure.ThrowIfFailed(ranks[rank], number, post.Call);
            round = _round;
            _posts[rank] = post;
            if (_arrived == ranks.Count - 1) Compare(post.Call);
            failure.ThrowIfFailed(ranks[rank], number, post.Call);
            if (Arrive(rank)) return;
        }
        Spin(round);
        long start = Stopwatch.GetTimestamp();
        lock (failure.Gate)
        {
            // Once the round is over the others count on this rank, whatever happens to the group meanwhile: it goes on to End.
            while (_round == round)
            {
                failure.ThrowIfFailed(ranks[rank], number, post.Call);
                TimeSpan left = timeout == System.Threading.Timeout.InfiniteTimeSpan ? Longest : timeout - Stopwatch.GetElapsedTime(start);
                if (left > TimeSpan.Zero) Monitor.Wait(failure.Gate, left < Longest ? left : Longest);
                else failure.Fail(GroupFailure.Late(timeout, ranks.Where((_, r) => !_present[r]), _last));
            }
        }
        void Compare(CollectiveCall call)
        {
            if (CollectivePost.Mismatch(ranks, _posts!) is { } mismatch) failure.Fail(mismatch);
            else if (call.Operation == Collective.Split) _parts = Parts();
            _last = (number, call);
        }
    }

    /// <summary>
    /// Returns once no rank uses what others posted. No time-out: between the two a rank waits for nobody, and to leave one that still reads without the
    /// memory that it reads would end the process.
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

    /// <summary>Whether this was the last.</summary>
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
        while (spin.Count < Spins && _round == round && !failure.Failed) spin.SpinOnce(sleep1Threshold: -1);
    }

    private Meeting[] Parts() =>
        [.. Enumerable.Range(0, ranks.Count).GroupBy(r => _posts[r]!.Color).Select(part => new Meeting([.. part.Select(r => ranks[r])], timeout, failure))];
}
