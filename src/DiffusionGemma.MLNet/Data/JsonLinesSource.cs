namespace DiffusionGemma;

/// <summary>One conversation a line, from several files one after another.</summary>
internal sealed class JsonLinesSource(IEnumerable<string> paths) : IChatSource
{
    private readonly string[] _paths = ChatFiles.Find(paths);

    public long? RowCount => null;

    public IEnumerable<RawChatRow> Rows()
    {
        foreach (string path in _paths)
            foreach ((long number, ReadOnlyMemory<byte> line) in Utf8Lines.Read(path))
                yield return new RawChatRow(line, new ChatPosition(path, Line: number));
    }
}
