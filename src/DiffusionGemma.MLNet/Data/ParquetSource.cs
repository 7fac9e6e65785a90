using Parquet.Schema;

namespace DiffusionGemma;

/// <summary>Conversations from parquet files, one after another, a row group in memory at a time.</summary>
internal sealed class ParquetSource : IChatSource
{
    private const string ShareGptColumn = "conversations";
    private const string ToolsColumn = "tools";

    private readonly string[] _paths;
    private readonly ChatDataOptions _options;

    public ParquetSource(IEnumerable<string> paths, ChatDataOptions options)
    {
        _paths = ChatFiles.Check(paths);
        _options = options;
        long rows = 0;
        foreach (string path in _paths)
        {
            using ParquetFile file = ParquetFile.Open(path);
            Columns(file);
            rows += file.RowCount;
        }
        RowCount = rows;
    }

    public long? RowCount { get; }

    public IEnumerable<string> Rows()
    {
        foreach (string path in _paths)
        {
            using ParquetFile file = ParquetFile.Open(path);
            long number = 0;
            foreach (ReadOnlyMemory<byte> row in file.ReadRows(Columns(file)))
                yield return ChatRow.Read(row, _options, new ChatPosition(path, Row: number++));
        }
    }

    /// <summary>The columns that the options ask for; every other column stays unread.</summary>
    private Field[] Columns(ParquetFile file)
    {
        if (_options.QuestionColumn is { } question)
            return _options.AnswerColumn is { } answer ? [Text(file, question), Text(file, answer)] : [Text(file, question)];
        Field messages = file.Find(_options.MessagesColumn) ?? file.Find(ShareGptColumn)
            ?? throw Missing(file, _options.MessagesColumn, $"name another {nameof(ChatDataOptions.MessagesColumn)}, or a {nameof(ChatDataOptions.QuestionColumn)} and {nameof(ChatDataOptions.AnswerColumn)}");
        if (messages is not ListField && !ParquetFile.IsText(messages))
            throw new ChatDataException($"column '{messages.Name}' must be a list of messages or the JSON text of one, it holds {ParquetFile.Describe(messages)}", new ChatPosition(file.Path));
        return file.Find(ToolsColumn) is { } tools ? [messages, tools] : [messages];
    }

    private static Field Text(ParquetFile file, string name)
    {
        Field column = file.Find(name) ?? throw Missing(file, name, "name one of these");
        if (!ParquetFile.IsText(column))
            throw new ChatDataException($"column '{name}' must be text, it holds {ParquetFile.Describe(column)}", new ChatPosition(file.Path));
        return column;
    }

    private static ChatDataException Missing(ParquetFile file, string name, string remedy) =>
        new($"there is no column '{name}'; the file has {string.Join(", ", file.Columns.Select(column => $"'{column.Name}'"))}: {remedy}", new ChatPosition(file.Path));
}
