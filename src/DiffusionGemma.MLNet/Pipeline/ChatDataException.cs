namespace DiffusionGemma;

/// <summary>Invalid chat data: the message names the file and the line or row, the fault and the remedy.</summary>
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

    /// <summary>The fault, without its position.</summary>
    public string Reason { get; }

    /// <summary>The file at fault; null where the data came from memory.</summary>
    public string? File { get; }

    /// <summary>The line of a text file, counted from 1 and with blank lines; null where there are no lines.</summary>
    public long? Line { get; }

    /// <summary>The column or key that the file, table or row lacks; null where something else is at fault.</summary>
    public string? MissingColumn { get; internal init; }

    /// <summary>The row of a parquet file or of a sequence, counted from 0; null where the whole file is at fault or lines count.</summary>
    public long? Row { get; }
}
