namespace DiffusionGemma;

/// <summary>File and line or row number of a row of chat data.</summary>
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
