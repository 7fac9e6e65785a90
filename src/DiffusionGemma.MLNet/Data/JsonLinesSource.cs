namespace DiffusionGemma;

/// <summary>One conversation a line, from several files one after another.</summary>
internal sealed class JsonLinesSource : IChatSource
{
    private readonly string[] _paths;
    private readonly ChatDataOptions _options;

    public JsonLinesSource(IEnumerable<string> paths, ChatDataOptions options)
    {
        _paths = ChatFiles.Check(paths);
        _options = options;
    }

    public long? RowCount => null;

    public IEnumerable<string> Rows()
    {
        foreach (string path in _paths)
            foreach ((long number, ReadOnlyMemory<byte> line) in Utf8Lines.Read(path))
                yield return ChatRow.Read(line, _options, new ChatPosition(path, Line: number));
    }
}
