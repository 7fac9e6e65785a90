namespace DiffusionGemma;

/// <summary>Progress of a download.</summary>
public sealed record HubProgress
{
    /// <summary>Files that are whole.</summary>
    public required int Files { get; init; }

    /// <summary>Files there will be.</summary>
    public required int TotalFiles { get; init; }

    /// <summary>Bytes that are here, those of earlier tries included.</summary>
    public required long Bytes { get; init; }

    /// <summary>Bytes there will be.</summary>
    public required long TotalBytes { get; init; }

    /// <summary>Bytes a second over the last ten seconds; 0 before any came.</summary>
    public required double BytesPerSecond { get; init; }

    /// <summary>Time left at that rate; null while there is no rate.</summary>
    public TimeSpan? TimeLeft => Bytes >= TotalBytes ? TimeSpan.Zero
        : BytesPerSecond > 0 ? TimeSpan.FromSeconds(Math.Min((TotalBytes - Bytes) / BytesPerSecond, TimeSpan.MaxValue.TotalSeconds / 2))
        : null;

    /// <summary>
    /// A sentence for the user: a wait, a repository that was renamed, the cache used because the Hub did not answer. Null: none.
    /// </summary>
    public string? Notice { get; init; }

    /// <summary>One line, such as <c>3 of 14 files, 12.1 of 51.6 GB, 94.0 MB/s, 00:07:00 left</c>.</summary>
    public override string ToString()
    {
        string line = $"{Files} of {TotalFiles} files, {Amount(Bytes, TotalBytes)} of {Amount(TotalBytes, TotalBytes)} "
            + $"{Unit(TotalBytes).Name}";
        if (BytesPerSecond > 0) line += $", {Amount(BytesPerSecond, BytesPerSecond)} {Unit(BytesPerSecond).Name}/s";
        if (TimeLeft is { } left && left > TimeSpan.Zero) line += $", {TimeSpan.FromSeconds(Math.Ceiling(left.TotalSeconds)):c} left";
        return Notice is null ? line : $"{Notice} ({line})";
    }

    private static string Amount(double bytes, double scale) =>
        (bytes / Unit(scale).Size).ToString("0.0", System.Globalization.CultureInfo.InvariantCulture);

    private static (double Size, string Name) Unit(double bytes) =>
        bytes switch { >= 1e9 => (1e9, "GB"), >= 1e6 => (1e6, "MB"), _ => (1e3, "kB") };
}
