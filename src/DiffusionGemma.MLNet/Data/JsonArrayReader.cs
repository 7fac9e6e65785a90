using System.Text.Json;

namespace DiffusionGemma;

/// <summary>Reads a JSON file that is one list, an item at a time: <c>[{...}, {...}]</c>, on any number of lines.</summary>
internal sealed class JsonArrayReader
{
    private const int LongestItem = 1 << 29;

    private readonly ByteWindow _window;
    private readonly string _path;
    // Deeper rows are refused when they are read, as rows.
    private JsonReaderState _state = new(new JsonReaderOptions { MaxDepth = 10_000 });
    private bool _isOpen, _isLastBlock;

    private JsonArrayReader(ByteWindow window, string path) => (_window, _path) = (window, path);

    /// <summary>Reads the items of a file; an item's memory is valid until the next is read.</summary>
    /// <exception cref="ChatDataException">The file is not JSON, or goes on behind the list; it names the line.</exception>
    public static IEnumerable<ReadOnlyMemory<byte>> Read(ByteWindow window, string path)
    {
        var reader = new JsonArrayReader(window, path);
        while (reader.TryRead(out ReadOnlyMemory<byte> item))
            yield return item;
    }

    private bool TryRead(out ReadOnlyMemory<byte> item)
    {
        try
        {
            while (true)
            {
                if (TryReadInWindow(out item, out bool isEnd)) return !isEnd;
                if (_window.Bytes.Length > LongestItem)
                    throw new ChatDataException($"an item of the list is longer than {LongestItem >> 20} MiB", new ChatPosition(_path));
                _isLastBlock = !_window.TryFill();
            }
        }
        catch (JsonException error)
        {
            throw new ChatDataException($"this JSON file cannot be read further: {error.Message}",
                new ChatPosition(_path, Line: error.LineNumber + 1), error);
        }
    }

    /// <summary>Reads the next item or the list's end; false where the window ends before it does.</summary>
    private bool TryReadInWindow(out ReadOnlyMemory<byte> item, out bool isEnd)
    {
        ReadOnlyMemory<byte> bytes = _window.Bytes;
        Utf8JsonReader reader = new(bytes.Span, _isLastBlock, _state);
        (item, isEnd) = (default, false);
        if (!_isOpen)
        {
            if (!reader.Read()) return false;
            _isOpen = true;
            Keep(reader);
            return TryReadInWindow(out item, out isEnd);
        }
        if (!reader.Read()) return isEnd = _isLastBlock && reader.CurrentDepth == 0 && reader.TokenType == JsonTokenType.EndArray;
        if (reader.TokenType == JsonTokenType.EndArray)
        {
            Keep(reader);
            return TryReadInWindow(out item, out isEnd);            // that nothing follows
        }
        int start = (int)reader.TokenStartIndex;
        if (!reader.TrySkip()) return false;
        item = bytes[start..(int)reader.BytesConsumed];
        Keep(reader);
        return true;
    }

    private void Keep(Utf8JsonReader reader)
    {
        _window.Advance((int)reader.BytesConsumed);
        _state = reader.CurrentState;
    }
}
