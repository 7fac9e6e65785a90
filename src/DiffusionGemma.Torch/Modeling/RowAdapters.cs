using static TorchSharp.torch;

namespace DiffusionGemma;

/// <summary>
/// The adapters of the rows of one pass without gradients. All rows share the base's products; each adapter's low rank is added to its own
/// rows:
/// <code>
/// rows      0 1 2 3 4 5        adapters   a a b b - a        -: the base alone
/// y = W x   all rows at once
/// y += ...  a: rows 0 1, row 5        b: rows 2 3
/// </code>
/// </summary>
internal sealed class RowAdapters
{
    private readonly IReadOnlyList<IAdapterDeltas> _rows;
    private readonly IAdapterDeltas[] _distinct;

    /// <param name="rows">The adapter of each row of the batch; one without deltas is the base alone.</param>
    public RowAdapters(IReadOnlyList<IAdapterDeltas> rows)
    {
        _rows = rows;
        _distinct = [.. rows.Distinct(ReferenceEqualityComparer.Instance).Cast<IAdapterDeltas>()];
    }

    /// <summary>The one adapter of all rows; null where they differ.</summary>
    public IAdapterDeltas? Only => _distinct.Length == 1 ? _distinct[0] : null;

    /// <summary>Lists the deltas of a projection, with the rows that each is added to.</summary>
    /// <param name="name">The projection's name in the checkpoint.</param>
    /// <param name="pass">The pass.</param>
    /// <param name="tokens">Tokens of the batch, equally many in each row.</param>
    /// <returns>Each delta with its runs of neighbouring tokens.</returns>
    public IEnumerable<(LoraPair Pair, IReadOnlyList<(long First, long Count)> Runs)> OfProjection(string name, Pass pass, long tokens)
    {
        foreach (IAdapterDeltas adapter in _distinct)
            if (adapter.OfProjection(name, pass) is { } pair) yield return (pair, Runs(adapter, tokens / _rows.Count));
    }

    /// <summary>Lists the deltas of a layer's expert stacks, with the sorted places that each is added to.</summary>
    /// <param name="name">The stacks' common name in the checkpoint.</param>
    /// <param name="pass">The pass.</param>
    /// <param name="indices">[T,K]: the experts of each token; equally many tokens in each row.</param>
    /// <param name="routing">The pairs of token and choice, sorted by expert.</param>
    /// <param name="reads">Reads of the device; null: of the tensors' own.</param>
    public IReadOnlyList<(ExpertsLora Lora, ExpertPlaces Places)> OfExperts(
        string name, Pass pass, Tensor indices, ExpertRouting routing, IHostReads? reads)
    {
        ExpertsLora?[] deltas = [.. _distinct.Select(adapter => adapter.OfExperts(name, pass))];
        if (Array.TrueForAll(deltas, lora => lora is null)) return [];
        long tokensPerRow = indices.shape[0] / _rows.Count, experts = routing.Rows.Experts;
        using var scope = NewDisposeScope();
        long[] adapterOfRow = [.. _rows.Select(row => (long)Array.IndexOf(_distinct, row))];
        Tensor rows = routing.Tokens.div(tokensPerRow, RoundingMode.floor);
        Tensor adapters = TorchOperators.SelectRows(HostCopy.Send(tensor(adapterOfRow, device: CPU), indices.device), rows);
        // Sorted by adapter, and still by expert within one.
        Tensor order = adapters.sort(0, descending: false, stable: true).Indices;
        Tensor ofExperts = adapters * experts + TorchOperators.SelectRows(indices.flatten(), routing.Order);
        ExpertRows all = routing.Rows.Ends is not null
            ? ExpertRows.CountOnDevice(ofExperts, experts * _distinct.Length)
            : ExpertRows.OnHost((reads ?? IHostReads.For(indices.device)).CountsOf(ofExperts, experts * _distinct.Length));
        var places = new List<(ExpertsLora, ExpertPlaces)>();
        long first = 0;
        for (int n = 0; n < _distinct.Length; n++)
        {
            long count = _rows.Count(row => ReferenceEquals(row, _distinct[n])) * tokensPerRow * routing.Choices;
            if (deltas[n] is { } lora && count > 0)
            {
                ExpertRows own = all.Slice((int)(n * experts), (int)experts, first);
                own.Ends?.MoveToOuterDisposeScope();
                places.Add((lora, new ExpertPlaces(order.narrow(0, first, count).MoveToOuterDisposeScope(), own)));
            }
            first += count;
        }
        return places;
    }

    private List<(long First, long Count)> Runs(IAdapterDeltas adapter, long tokensPerRow)
    {
        var runs = new List<(long, long)>();
        for (int row = 0, count; row < _rows.Count; row += count)
        {
            count = 1;
            while (row + count < _rows.Count && ReferenceEquals(_rows[row + count], _rows[row])) count++;
            if (ReferenceEquals(_rows[row], adapter)) runs.Add((row * tokensPerRow, count * tokensPerRow));
        }
        return runs;
    }
}
