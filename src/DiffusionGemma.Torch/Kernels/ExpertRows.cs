using static TorchSharp.torch;

namespace DiffusionGemma;

/// <summary>
/// The number of rows of each expert, where rows are sorted by expert: counts on the host, or on the device the end of each expert's rows,
/// which no one reads.
/// <code>
/// rows    a a a b d d        counts  3 1 0 2        ends  3 4 4 6
/// </code>
/// </summary>
internal sealed class ExpertRows : IDisposable
{
    private readonly long[]? _counts;

    private ExpertRows(long[]? counts, Tensor? ends) => (_counts, Ends) = (counts, ends);

    /// <summary>[E] int32, on the rows' device; null: the counts are on the host.</summary>
    public Tensor? Ends { get; }

    /// <summary>[E], on the host.</summary>
    /// <exception cref="InvalidOperationException">They are on the device.</exception>
    public long[] Counts => _counts ?? throw new InvalidOperationException("The counts of the experts' rows are on the device, not read.");

    /// <summary>E.</summary>
    public long Experts => Ends?.shape[0] ?? _counts!.Length;

    /// <summary>Rows that are counted on the host.</summary>
    /// <param name="counts">[E].</param>
    public static ExpertRows OnHost(long[] counts) => new(counts, null);

    /// <summary>Rows that are counted on the device.</summary>
    /// <param name="ends">[E] int32.</param>
    public static ExpertRows OnDevice(Tensor ends) => new(null, ends);

    /// <summary>Counts rows without reading them.</summary>
    /// <param name="ids">[N] int64, or of another shape: the expert of each row, in any order.</param>
    /// <param name="experts">E.</param>
    public static ExpertRows CountOnDevice(Tensor ids, long experts)
    {
        using var scope = NewDisposeScope();
        Tensor numbers = arange(experts, dtype: ScalarType.Int64, device: ids.device).unsqueeze(1);
        return OnDevice(ids.reshape(1, -1).le(numbers).sum(1, type: ScalarType.Int32).MoveToOuterDisposeScope());
    }

    /// <summary>Returns the rows of experts [first, first + count), whose first row has place <paramref name="place"/>.</summary>
    public ExpertRows Slice(int first, int count, long place) =>
        Ends is null ? OnHost(_counts!.AsSpan(first, count).ToArray()) : OnDevice(Ends.narrow(0, first, count) - place);

    /// <summary>Copies this with a reference of its own, which outlives the current scope.</summary>
    public ExpertRows Kept() => Ends is null ? this : OnDevice(Ends.alias().DetachFromDisposeScope());

    /// <summary>Frees the ends.</summary>
    public void Dispose() => Ends?.Dispose();
}
