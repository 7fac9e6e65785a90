using TorchSharp;
using static TorchSharp.torch;

namespace DiffusionGemma;

/// <summary>
/// One layer's rows on their way to the ranks that own their experts, and back: rank r owns experts [r·E/n, (r+1)·E/n). Who sends how many rows is
/// exchanged first, so splits may be as uneven as routing makes them: a rank may send or get nothing.
/// <code>
/// 2 ranks, 4 experts        expert  0   1  | 2  3
/// rank 0 has, sorted                a b c  | d
/// rank 1 has, sorted                e      | f g h          rank 1 has experts 2 and 3
/// rank 0 gets   a b c e  ->  sorted by expert   a e  b c    (one slice an expert, whoever sent its rows)
/// </code>
/// Plain movement of numbers: gradients go the same ways in the other direction.
/// </summary>
internal sealed class ExpertExchange : IDisposable
{
    private readonly IProcessGroup _ranks;
    private readonly long[] _sent, _received;
    private readonly Tensor? _order, _places;

    private ExpertExchange(IProcessGroup ranks, long[] sent, long[] received, long[] counts, Tensor? order, Tensor? places)
    {
        (_ranks, _sent, _received, Counts, _order, _places) = (ranks, sent, received, counts, order, places);
    }

    /// <summary>Rows of each of this rank's own experts, from all ranks.</summary>
    public long[] Counts { get; }

    /// <summary>A collective.</summary>
    /// <param name="counts">[E]: this rank's rows for each expert.</param>
    /// <param name="ranks">Who owns the experts between them; their number divides E.</param>
    /// <param name="device">Where rows are.</param>
    public static ExpertExchange Of(long[] counts, IProcessGroup ranks, Device device)
    {
        if (ranks.Size == 1) return new ExpertExchange(ranks, [], [], counts, null, null);
        using IDisposable quiet = no_grad();
        using var scope = NewDisposeScope();
        int own = counts.Length / ranks.Size;
        long[] equal = [.. Enumerable.Repeat((long)own, ranks.Size)];
        Tensor told = empty(counts.Length, dtype: ScalarType.Int64, device: device);
        ranks.AllToAll(tensor(counts, device: device), equal, told, equal);
        long[] blocks = told.cpu().data<long>().ToArray();                                       // [rank, own expert]

        long[] starts = new long[blocks.Length], received = new long[ranks.Size], ofExperts = new long[own];
        long total = 0;
        for (int n = 0; n < blocks.Length; n++)
        {
            starts[n] = total;
            total += blocks[n];
            received[n / own] += blocks[n];
            ofExperts[n % own] += blocks[n];
        }
        long[] order = new long[total], places = new long[total];
        long next = 0;
        for (int expert = 0; expert < own; expert++)
            for (int n = expert; n < blocks.Length; n += own)
                for (long row = 0; row < blocks[n]; row++, next++)
                    places[order[next] = starts[n] + row] = next;
        long[] sent = [.. Enumerable.Range(0, ranks.Size).Select(rank => counts.AsSpan(rank * own, own).ToArray().Sum())];
        return new ExpertExchange(
            ranks, sent, received, ofExperts, tensor(order, device: device).DetachFromDisposeScope(), tensor(places, device: device).DetachFromDisposeScope());
    }

    /// <summary>Rows sorted by expert [Σ sent, ...] -> the rows of this rank's experts, sorted by expert [Σ <see cref="Counts"/>, ...]. A collective.</summary>
    public Tensor ToExperts(Tensor rows)
    {
        if (_order is null) return rows;
        using var scope = NewDisposeScope();
        Tensor arrived = empty([_received.Sum(), .. rows.shape[1..]], dtype: rows.dtype, device: rows.device);
        _ranks.AllToAll(rows.contiguous(), _sent, arrived, _received);
        return arrived.index_select(0, _order).MoveToOuterDisposeScope();
    }

    /// <summary>The way back of <see cref="ToExperts"/>. A collective.</summary>
    public Tensor FromExperts(Tensor rows)
    {
        if (_places is null) return rows;
        using var scope = NewDisposeScope();
        Tensor returned = empty([_sent.Sum(), .. rows.shape[1..]], dtype: rows.dtype, device: rows.device);
        _ranks.AllToAll(rows.index_select(0, _places), _received, returned, _sent);
        return returned.MoveToOuterDisposeScope();
    }

    public void Dispose()
    {
        _order?.Dispose();
        _places?.Dispose();
    }
}
