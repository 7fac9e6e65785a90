namespace DiffusionGemma;

/// <summary>Chat data that cannot be read: the message names the file and the line or row, what is wrong there and what to do.</summary>
public sealed class ChatDataException : FormatException
{
    internal ChatDataException(string reason, ChatPosition position = default, Exception? inner = null)
        : base(position.Name is { } name ? $"{name}: {reason}" : reason, inner)
    {
        Reason = reason;
        File = position.File;
        Line = position.Line;
        Row = position.Row;
    }

    internal ChatPosition Position => new(File, Line, Row);

    /// <summary>What is wrong, without the place.</summary>
    public string Reason { get; }

    /// <summary>The file at fault; null where the data came from memory.</summary>
    public string? File { get; }

    /// <summary>The line of a text file, counted from 1 and with blank lines; null where there are no lines.</summary>
    public long? Line { get; }

    /// <summary>The row of a parquet file or of a sequence, counted from 0; null where the whole file is at fault or lines count.</summary>
    public long? Row { get; }
}

/// <summary>Where a row of chat data stands.</summary>
internal readonly record struct ChatPosition(string? File, long? Line = null, long? Row = null)
{
    public string? Name => (File, Line, Row) switch
    {
        ({ } file, { } line, _) => $"{file}, line {line}",
        ({ } file, _, { } row) => $"{file}, row {row} (counted from 0)",
        ({ } file, _, _) => file,
        (_, _, { } row) => $"row {row} (counted from 0)",
        _ => null,
    };
}
