namespace DiffusionGemma;

/// <summary>Rows of chat data as they stand, read anew from the first by every enumeration and by several at once.</summary>
internal interface IChatSource
{
    IEnumerable<RawChatRow> Rows();

    /// <summary>How many rows there are, where that is known without reading them.</summary>
    long? RowCount { get; }
}

/// <summary>One row as it stands.</summary>
/// <param name="Json">UTF-8; good until the next row is asked for.</param>
/// <param name="Position">Where it stands.</param>
/// <param name="Fault">Why there is no JSON; null where there is.</param>
/// <param name="Cause">What brought the fault about.</param>
internal readonly record struct RawChatRow(ReadOnlyMemory<byte> Json, ChatPosition Position, string? Fault = null, Exception? Cause = null);
