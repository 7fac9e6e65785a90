using Microsoft.ML;

namespace DiffusionGemma;

/// <summary>Rows that a recipe trains on, or measures the model on.</summary>
public sealed class RecipeData
{
    private readonly RowSlice? _slice;

    internal RecipeData(IReadOnlyList<string> files, int maxLength, RowSlice? slice) =>
        (Files, MaxLength, _slice) = (files, maxLength, slice);

    /// <summary>
    /// Paths of files of conversations, JSON Lines or parquet, or addresses of such on the Hub (<c>hf://datasets/org/name/...</c>).
    /// </summary>
    public IReadOnlyList<string> Files { get; }

    /// <summary>The most tokens of a row.</summary>
    public int MaxLength { get; }

    /// <summary>True if the files are parquet.</summary>
    internal bool IsParquet => Files.All(IsParquetFile);

    /// <summary>Loads the rows: a view with the column <c>Messages</c>.</summary>
    /// <param name="ml">The context; files on the Hub are downloaded, and reported to its log.</param>
    /// <exception cref="HubException">The Hub does not give a file.</exception>
    /// <exception cref="IOException">A file is not there any more.</exception>
    public IDataView Load(MLContext ml)
    {
        ArgumentNullException.ThrowIfNull(ml);
        string[] files = [.. Files];
        IDataView rows = IsParquet ? ml.Data.LoadChatFromParquet(new ChatDataOptions(), files) : ml.Data.LoadChatFromJsonLines(files);
        if (_slice is not { } slice) return rows;
        if (slice.First > 0) rows = ml.Data.SkipRows(rows, slice.First);
        return slice.End is long end ? ml.Data.TakeRows(rows, Math.Max(0, end - slice.First)) : rows;
    }

    internal static bool IsParquetFile(string file) => file.EndsWith(".parquet", StringComparison.OrdinalIgnoreCase);
}
