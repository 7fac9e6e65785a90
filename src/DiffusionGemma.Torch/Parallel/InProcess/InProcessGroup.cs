using static DiffusionGemma.CollectiveTensors;
using static TorchSharp.torch;

namespace DiffusionGemma;

/// <summary>
/// A process group whose ranks are threads of one process and read and write one another's tensors, without intermediate copies. Sums are
/// made in the order of ranks, so they are the same bits on every rank and in every run. The time-out bounds the wait for the other ranks
/// to arrive. Tensors may also all be on one CUDA device, whose default stream keeps the order.
/// </summary>
internal sealed class InProcessGroup : IProcessGroup
{
    private readonly RankBarrier _barrier;
    private readonly RankStatus _status;
    private long _number;
    private bool _disposed;

    private InProcessGroup(RankBarrier barrier, int rank)
    {
        _barrier = barrier;
        _status = barrier.Ranks[rank];
        Rank = rank;
    }

    public int Rank { get; }

    public int Size => _barrier.Ranks.Count;

    public TimeSpan Timeout => _barrier.Timeout;

    public string Activity
    {
        get => _status.Activity;
        set => _status.Activity = value;
    }

    /// <summary>Creates a group: one handle for each rank, each used by one thread.</summary>
    /// <param name="ranks">1 or more.</param>
    /// <param name="timeout">May be <see cref="System.Threading.Timeout.InfiniteTimeSpan"/>.</param>
    public static InProcessGroup[] Create(int ranks, TimeSpan timeout)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(ranks, 1);
        var barrier = new RankBarrier([.. Enumerable.Range(0, ranks).Select(r => new RankStatus(r))], timeout, new GroupFailure());
        return [.. Enumerable.Range(0, ranks).Select(r => new InProcessGroup(barrier, r))];
    }

    /// <remarks>
    /// Rank r alone reads and writes the r-th part of every tensor, so no rank reads a sum in place of an input:
    /// <code>
    /// tensor of rank 0   [ part 0 | part 1 ]       rank 0 sums part 0 of both and writes it to both,
    /// tensor of rank 1   [ part 0 | part 1 ]       rank 1 does so with part 1
    /// </code>
    /// </remarks>
    public void AllReduce(Tensor tensor) =>
        Run(() => new CollectiveRequest(CollectiveCall.AllReduce(tensor)) { Input = tensor, Output = tensor }, () =>
    {
        long all = tensor.numel(), start = all / Size * Rank + Math.Min(Rank, all % Size), count = all / Size + (Rank < all % Size ? 1 : 0);
        Tensor[] parts = [.. Enumerable.Range(0, Size).Select(r => Flat(_barrier[r].Output!).narrow(0, start, count))];
        RankSum.WriteTo(parts, parts);
    });

    public void ReduceScatter(Tensor input, Tensor output) =>
        Run(() => new CollectiveRequest(CollectiveCall.ReduceScatter(input, output, Rank, Size)) { Input = input }, () =>
    {
        long count = output.numel();
        Tensor[] parts = [.. Enumerable.Range(0, Size).Select(r => Flat(_barrier[r].Input!).narrow(0, Rank * count, count))];
        RankSum.WriteTo([Flat(output)], parts);
    });

    public void AllGather(Tensor input, Tensor output) =>
        Run(() => new CollectiveRequest(CollectiveCall.AllGather(input, output, Rank, Size)) { Input = input }, () =>
    {
        long count = input.numel();
        Tensor whole = Flat(output);
        for (int r = 0; r < Size; r++) whole.narrow(0, r * count, count).copy_(Flat(_barrier[r].Input!));
    });

    public void AllToAll(Tensor input, IReadOnlyList<long> sent, Tensor output, IReadOnlyList<long> received)
    {
        CollectiveRequest Request() =>
            new(CollectiveCall.AllToAll(input, sent, output, received, Size)) { Input = input, Sent = sent, Received = received };
        Run(Request, () =>
        {
            long to = 0;
            for (int r = 0; r < Size; to += received[r++])
            {
                CollectiveRequest request = _barrier[r];
                Tensor rows = request.Input!.narrow(0, request.Sent.Take(Rank).Sum(), received[r]);
                Flat(output.narrow(0, to, received[r])).copy_(Flat(rows));
            }
        });
    }

    public void Broadcast(Tensor tensor, int root) =>
        Run(() => new CollectiveRequest(CollectiveCall.Broadcast(tensor, root, Size)) { Input = tensor }, () =>
    {
        if (Rank != root) Flat(tensor).copy_(Flat(_barrier[root].Input!));
    });

    public void Barrier() => Begin(() => new CollectiveRequest(new CollectiveCall(Collective.Barrier)));

    public IProcessGroup Split(int color)
    {
        Begin(() => new CollectiveRequest(CollectiveCall.Split(color)) { Color = color });
        (RankBarrier subgroup, int rank) = _barrier.SubgroupOf(Rank);
        return new InProcessGroup(subgroup, rank);
    }

    public void Abort(Exception cause) => _barrier.Failure.Fail(GroupFailure.DescribeAbort(_status, cause), cause);

    public void Dispose() => _disposed = true;

    private void Run(Func<CollectiveRequest> request, Action work)
    {
        CollectiveCall call = Begin(request);
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
            _barrier.End(Rank);
        }
        _barrier.Failure.ThrowIfFailed(_status, _number, call);
    }

    private CollectiveCall Begin(Func<CollectiveRequest> request)
    {
        ObjectDisposedException.ThrowIf(_disposed, this);
        _number++;
        try
        {
            CollectiveRequest mine = request();
            _barrier.Begin(Rank, _number, mine);
            return mine.Call;
        }
        catch (Exception e) when (e is not ProcessGroupException)
        {
            Abort(e);
            throw;
        }
    }
}
