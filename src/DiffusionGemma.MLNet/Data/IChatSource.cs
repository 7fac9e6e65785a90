namespace DiffusionGemma;

/// <summary>A source of chat rows that can be enumerated several times, also at once.</summary>
internal interface IChatSource
{
    IEnumerable<RawChatRow> Rows();

    /// <summary>The number of rows, where it is known without reading them.</summary>
    long? RowCount { get; }
}
