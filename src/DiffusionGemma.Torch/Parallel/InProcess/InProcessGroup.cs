using static DiffusionGemma.RankTensors;
using static TorchSharp.torch;

namespace DiffusionGemma;

/// <summary>
/// Ranks that are threads of one process and work on one another's tensors: nothing is copied but what the collective is for. Sums are made in the
/// order of ranks, so they are the same bits on every rank and in every run. The time-out bounds the wait for the other ranks to come.
/// Tensors may also all be on one CUDA device, whose default stream keeps the order.
/// </summary>
internal sealed class InProcessGroup : IProcessGroup
{
    private readonly Meeting _meeting;
    private readonly RankPlace _place;
    private long _number;
    private bool _disposed;

    private InProcessGroup(Meeting meeting, int rank)
    {
        _meeting = meeting;
        _place = meeting.Ranks[rank];
        Rank = rank;
    }

    public int Rank { get; }

    public int Size => _meeting.Ranks.Count;

    public TimeSpan Timeout => _meeting.Timeout;

    public string At
    {
        get => _place.At;
        set => _place.At = value;
    }

    /// <summary>One handle for each rank, for a thread each.</summary>
    /// <param name="ranks">1 or more.</param>
    /// <param name="timeout"><see cref="System.Threading.Timeout.InfiniteTimeSpan"/> waits for ever.</param>
    public static InProcessGroup[] Create(int ranks, TimeSpan timeout)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(ranks, 1);
        var meeting = new Meeting([.. Enumerable.Range(0, ranks).Select(r => new RankPlace(r))], timeout, new GroupFailure());
        return [.. Enumerable.Range(0, ranks).Select(r => new InProcessGroup(meeting, r))];
    }

    /// <remarks>
    /// Rank r alone reads and writes the r-th part of every tensor, so nobody reads what has been overwritten:
    /// <code>
    /// tensor of rank 0   [ part 0 | part 1 ]       rank 0 sums part 0 of both and writes it to both,
    /// tensor of rank 1   [ part 0 | part 1 ]       rank 1 does so with part 1
    /// </code>
    /// </remarks>
    public void AllReduce(Tensor tensor) => Run(() => new CollectivePost(CollectiveCall.AllReduce(tensor)) { Input = tensor, Output = tensor }, () =>
    {
        long all = tensor.numel(), start = all / Size * Rank + Math.Min(Rank, all % Size), count = all / Size + (Rank < all % Size ? 1 : 0);
        Tensor[] parts = [.. Enumerable.Range(0, Size).Select(r => Flat(_meeting[r].Output!).narrow(0, start, count))];
        RankSum.Into(parts, parts);
    });

    public void ReduceScatter(Tensor input, Tensor output) =>
        Run(() => new CollectivePost(CollectiveCall.ReduceScatter(input, output, Rank, Size)) { Input = input }, () =>
    {
        long count = output.numel();
        RankSum.Into([Flat(output)], [.. Enumerable.Range(0, Size).Select(r => Flat(_meeting[r].Input!).narrow(0, Rank * count, count))]);
    });

    public void AllGather(Tensor input, Tensor output) => Run(() => new CollectivePost(CollectiveCall.AllGather(input, output, Rank, Size)) { Input = input }, () =>
    {
        long count = input.numel();
        Tensor whole = Flat(output);
        for (int r = 0; r < Size; r++) whole.narrow(0, r * count, count).copy_(Flat(_meeting[r].Input!));
    });

    public void AllToAll(Tensor input, IReadOnlyList<long> sent, Tensor output, IReadOnlyList<long> received) =>
        Run(() => new CollectivePost(CollectiveCall.AllToAll(input, sent, output, received, Size)) { Input = input, Sent = sent, Received = received }, () =>
    {
        long to = 0;
        for (int r = 0; r < Size; to += received[r++])
        {
            CollectivePost post = _meeting[r];
            Tensor rows = post.Input!.narrow(0, post.Sent.Take(Rank).Sum(), received[r]);
            Flat(output.narrow(0, to, received[r])).copy_(Flat(rows));
        }
    });

    public void Broadcast(Tensor tensor, int root) => Run(() => new CollectivePost(CollectiveCall.Broadcast(tensor, root, Size)) { Input = tensor }, () =>
    {
        if (Rank != root) Flat(tensor).copy_(Flat(_meeting[root].Input!));
    });

    public void Barrier() => Begin(() => new CollectivePost(new CollectiveCall(Collective.Barrier)));

    public IProcessGroup Split(int color)
    {
        Begin(() => new CollectivePost(CollectiveCall.Split(color)) { Color = color });
        (Meeting part, int rank) = _meeting.PartOf(Rank);
        return new InProcessGroup(part, rank);
    }

    public void Abort(Exception cause) => _meeting.Failure.Fail(GroupFailure.Aborted(_place, cause), cause);

    public void Dispose() => _disposed = true;

    private void Run(Func<CollectivePost> post, Action work)
    {
        CollectiveCall call = Begin(post);
        try
        {
            using IDisposable quiet = no_grad();
            using var scope = NewDisposeScope();
            work();
        }
        catch (Exception e)
        {
            Abort(e);
        }
        finally
        {
            _meeting.End(Rank);
        }
        _meeting.Failure.ThrowIfFailed(_place, _number, call);
    }

    private CollectiveCall Begin(Func<CollectivePost> post)
    {
        ObjectDisposedException.ThrowIf(_disposed, this);
        _number++;
        try
        {
            CollectivePost mine = post();
            _meeting.Begin(Rank, _number, mine);
            return mine.Call;
        }
        catch (Exception e) when (e is not ProcessGroupException)
        {
            Abort(e);
            throw;
        }
    }
}
