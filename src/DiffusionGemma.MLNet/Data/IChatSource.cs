namespace DiffusionGemma;

/// <summary>Rows of the Messages column, read anew from the first by every enumeration and by several at once.</summary>
internal interface IChatSource
{
    IEnumerable<string> Rows();

    /// <summary>How many rows there are, where that is known without reading them.</summary>
    long? RowCount { get; }
}
