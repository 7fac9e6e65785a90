using System.Text.Json;

namespace DiffusionGemma;

/// <summary>
/// Conversations from JSON Lines, one a line, or from JSON files that are one list of rows; several files follow one another.
/// </summary>
internal sealed class JsonLinesSource(IEnumerable<string> paths) : IChatSource
{
    private readonly string[] _paths = ChatFiles.Find(paths);

    public long? RowCount => null;

    public IEnumerable<RawChatRow> Rows()
    {
        foreach (string path in _paths)
        {
            using var window = new ByteWindow(path);
            foreach (RawChatRow row in IsList(window, path) ? ReadList(window, path) : ReadLines(window, path))
                yield return row;
        }
    }

    private static IEnumerable<RawChatRow> ReadLines(ByteWindow window, string path)
    {
        foreach ((long number, ReadOnlyMemory<byte> line) in Utf8Lines.Read(window, path))
            yield return new RawChatRow(line, new ChatPosition(path, Line: number));
    }

    private static IEnumerable<RawChatRow> ReadList(ByteWindow window, string path)
    {
        long number = 0;
        foreach (ReadOnlyMemory<byte> item in JsonArrayReader.Read(window, path))
        {
            if (number == 0 && IsMessage(item))
                throw new ChatDataException("this JSON file is one conversation: give a list of rows, or write each row on a line of its "
                    + "own (jq -c . conversation.json > rows.jsonl)", new ChatPosition(path));
            yield return new RawChatRow(item, new ChatPosition(path, Row: number++));
        }
    }

    /// <summary>True for a list of rows, false for JSON Lines, by the first line.</summary>
    /// <exception cref="ChatDataException">The file is neither.</exception>
    private static bool IsList(ByteWindow window, string path)
    {
        if (Utf8Lines.PeekFirst(window) is not var (number, line)) return false;
        if (OtherFormats.Find(line.Span) is { } reason)
            throw new ChatDataException(reason, new ChatPosition(path, Line: number));
        return line.Span is [(byte)'[', ..] && !IsRow(line);
    }

    /// <summary>True for a list that is one row: a conversation, or something that is none.</summary>
    private static bool IsRow(ReadOnlyMemory<byte> line)
    {
        try
        {
            using var document = JsonDocument.Parse(line, ChatRow.Reading);
            JsonElement list = document.RootElement;
            return !(list.GetArrayLength() > 0 && list[0].ValueKind == JsonValueKind.Array) && !ChatRow.IsListOfRows(list);
        }
        catch (JsonException)
        {
            return false;                                           // a list that goes on in the next line
        }
    }

    private static bool IsMessage(ReadOnlyMemory<byte> item)
    {
        try
        {
            using var document = JsonDocument.Parse(item, ChatRow.Reading);
            return document.RootElement.ValueKind == JsonValueKind.Object
                && new[] { "role", "from" }.Any(key => document.RootElement.TryGetProperty(key, out _));
        }
        catch (JsonException)
        {
            return false;                                           // too deep; the row says so
        }
    }
}
