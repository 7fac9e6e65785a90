namespace DiffusionGemma;

/// <summary>Where <c>gemma.FineTune</c> keeps the packed rows that it reads from the data view, once, before it trains.</summary>
public sealed record TrainingRowOptions
{
    /// <summary>
    /// Most bytes of rows kept in memory; when there are more, all go to a temporary file (<see cref="PackedRowStore"/>).
    /// </summary>
    public long MaxRowBytesInMemory { get; init; } = PackedRowStore.DefaultMaxBytes;

    /// <summary>Folder of that file; null: the system's folder for temporary files.</summary>
    public string? ScratchFolder { get; init; }

    /// <exception cref="ArgumentOutOfRangeException">A number is negative.</exception>
    internal void Validate() =>
        ArgumentOutOfRangeException.ThrowIfNegative(MaxRowBytesInMemory, $"{nameof(TrainingRowOptions)}.{nameof(MaxRowBytesInMemory)}");
}
