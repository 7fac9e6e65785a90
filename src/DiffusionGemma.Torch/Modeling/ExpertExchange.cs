using static TorchSharp.torch;

namespace DiffusionGemma;

/// <summary>
/// Sends one layer's rows to the ranks that own their experts, and back: rank r of n owns experts [r·E/n, (r+1)·E/n). The counts of rows
/// are exchanged first, so splits may be as uneven as routing makes them: a rank may send or receive nothing.
/// <code>
/// 2 ranks, 4 experts        expert  0   1  | 2  3
/// rank 0 has, sorted                a b c  | d
/// rank 1 has, sorted                e      | f g h          rank 1 has experts 2 and 3
/// rank 0 gets   a b c e  ->  sorted by expert   a e  b c    (one slice an expert, with the rows of all ranks)
/// </code>
/// Autograd records nothing: gradients take the same ways in the other direction.
/// </summary>
internal sealed class ExpertExchange : IDisposable
{
    private readonly IExpertRanks _ranks;
    private readonly long[] _sent, _received;
    private readonly Tensor? _order, _positions;

    private ExpertExchange(IExpertRanks ranks, long[] sent, long[] received, ExpertRows rows, Tensor? order, Tensor? positions)
    {
        (_ranks, _sent, _received, Rows, _order, _positions) = (ranks, sent, received, rows, order, positions);
    }

    /// <summary>[E/n]: rows from all ranks for each of this rank's experts.</summary>
    public ExpertRows Rows { get; }

    /// <summary>Exchanges the counts of rows and computes the order of the received ones. A collective.</summary>
    /// <param name="rows">This rank's rows for each of E experts; on the host where there are several ranks.</param>
    /// <param name="ranks">The owners of the experts; their number divides E.</param>
    /// <param name="device">The device of the rows.</param>
    /// <param name="reads">Reads the received counts; null: those of the device.</param>
    public static ExpertExchange Create(ExpertRows rows, IExpertRanks ranks, Device device, IHostReads? reads = null)
    {
        if (ranks.Size == 1) return new ExpertExchange(ranks, [], [], rows.Kept(), null, null);
        long[] counts = rows.Counts;
        using IDisposable quiet = no_grad();
        using var scope = NewDisposeScope();
        int own = counts.Length / ranks.Size;
        long[] equal = [.. Enumerable.Repeat((long)own, ranks.Size)];
        Tensor receivedCounts = empty(counts.Length, dtype: ScalarType.Int64, device: device);
        ranks.AllToAll(tensor(counts, device: device), equal, receivedCounts, equal);
        reads ??= IHostReads.For(device);
        long[] blocks = Array.ConvertAll(reads.Numbers(receivedCounts), number => (long)number);  // [rank, own expert]

        long[] starts = new long[blocks.Length], received = new long[ranks.Size], ofExperts = new long[own];
        long total = 0;
        for (int n = 0; n < blocks.Length; n++)
        {
            starts[n] = total;
            total += blocks[n];
            received[n / own] += blocks[n];
            ofExperts[n % own] += blocks[n];
        }
        long[] order = new long[total], positions = new long[total];
        long next = 0;
        for (int expert = 0; expert < own; expert++)
            for (int n = expert; n < blocks.Length; n += own)
                for (long row = 0; row < blocks[n]; row++, next++)
                    positions[order[next] = starts[n] + row] = next;
        long[] sent = [.. Enumerable.Range(0, ranks.Size).Select(rank => counts.AsSpan(rank * own, own).ToArray().Sum())];
        return new ExpertExchange(
            ranks, sent, received, ExpertRows.OnHost(ofExperts),
            tensor(order, device: device).DetachFromDisposeScope(), tensor(positions, device: device).DetachFromDisposeScope());
    }

    /// <summary>Sends rows to the owners of their experts. A collective.</summary>
    /// <param name="rows">[Σ sent, ...], sorted by expert.</param>
    /// <returns>The rows of this rank's experts, sorted by expert [Σ <see cref="Rows"/>, ...].</returns>
    public Tensor ToExperts(Tensor rows)
    {
        if (_order is null) return rows;
        using var scope = NewDisposeScope();
        Tensor arrived = empty([_received.Sum(), .. rows.shape[1..]], dtype: rows.dtype, device: rows.device);
        _ranks.AllToAll(rows.contiguous(), _sent, arrived, _received);
        return TorchOperators.SelectRows(arrived, _order).MoveToOuterDisposeScope();
    }

    /// <summary>Returns rows to the ranks that sent them: the inverse of <see cref="ToExperts"/>. A collective.</summary>
    public Tensor FromExperts(Tensor rows)
    {
        if (_positions is null) return rows;
        using var scope = NewDisposeScope();
        Tensor returned = empty([_sent.Sum(), .. rows.shape[1..]], dtype: rows.dtype, device: rows.device);
        _ranks.AllToAll(TorchOperators.SelectRows(rows, _positions), _received, returned, _sent);
        return returned.MoveToOuterDisposeScope();
    }

    public void Dispose()
    {
        Rows.Dispose();
        _order?.Dispose();
        _positions?.Dispose();
    }
}
