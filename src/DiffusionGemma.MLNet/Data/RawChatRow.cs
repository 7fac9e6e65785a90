namespace DiffusionGemma;

/// <summary>One row of a source, unparsed.</summary>
/// <param name="Json">UTF-8; valid until the next row is read.</param>
/// <param name="Position">Its position in the source.</param>
/// <param name="Fault">The reason why there is no JSON; null where there is.</param>
/// <param name="Cause">The exception behind the fault.</param>
internal readonly record struct RawChatRow(ReadOnlyMemory<byte> Json, ChatPosition Position, string? Fault = null, Exception? Cause = null);
