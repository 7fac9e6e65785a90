using System.Text.Json;

namespace DiffusionGemma;

/// <summary>Conversations from JSON Lines, one a line, from several files one after another.</summary>
internal sealed class JsonLinesSource(IEnumerable<string> paths) : IChatSource
{
    private readonly string[] _paths = ChatFiles.Find(paths);

    public long? RowCount => null;

    public IEnumerable<RawChatRow> Rows()
    {
        foreach (string path in _paths)
        {
            bool isFirst = true;
            foreach ((long number, ReadOnlyMemory<byte> line) in Utf8Lines.Read(path))
            {
                var position = new ChatPosition(path, Line: number);
                if (isFirst && FindOtherFormat(line) is { } reason)
                    throw new ChatDataException(reason, position);
                isFirst = false;
                yield return new RawChatRow(line, position);
            }
        }
    }

    /// <summary>The reason why a file is no JSON Lines by its first line; null where it may be.</summary>
    private static string? FindOtherFormat(ReadOnlyMemory<byte> line)
    {
        const string Remedy =
            "this is a JSON file, not JSON Lines: write each row on a line of its own (jq -c '.[]' rows.json > rows.jsonl)";
        switch (line.Span)
        {
            case [(byte)'{'] or [(byte)'[']:
                return Remedy;
            case [(byte)'[', ..]:
                try
                {
                    using var document = JsonDocument.Parse(line, ChatRow.Reading);
                    return ChatRow.IsListOfRows(document.RootElement) ? Remedy : null;
                }
                catch (JsonException)
                {
                    return Remedy;                                  // an array that goes on in the next line
                }
            default:
                return null;
        }
    }
}
