using Parquet.Schema;

namespace DiffusionGemma;

/// <summary>Conversations from parquet files, one after another, a row group in memory at a time.</summary>
internal sealed class ParquetSource : IChatSource
{
    private readonly string[] _paths;
    private readonly ChatDataOptions _options;

    public ParquetSource(IEnumerable<string> paths, ChatDataOptions options)
    {
        _paths = ChatFiles.Find(paths);
        _options = options;
        long rows = 0;
        foreach (string path in _paths)
        {
            using ParquetFile file = ParquetFile.Open(path);
            Columns(file, options);
            rows += file.RowCount;
        }
        RowCount = rows;
    }

    public long? RowCount { get; }

    public IEnumerable<RawChatRow> Rows()
    {
        foreach (string path in _paths)
        {
            using ParquetFile file = ParquetFile.Open(path);
            long number = 0;
            foreach (ReadOnlyMemory<byte> row in file.ReadRows(Columns(file, _options)))
                yield return new RawChatRow(row, new ChatPosition(path, Row: number++));
        }
    }

    /// <summary>The columns that the options ask for; every other column stays unread.</summary>
    internal static Field[] Columns(ParquetFile file, ChatDataOptions options)
    {
        if (file.Columns.FirstOrDefault(column => ChatConversation.MediaKeys.Contains(column.Name)) is { } media)
            throw new ChatDataException($"the file has a column '{media.Name}', and this library is text only: write the file again without it and the rows that need it", new ChatPosition(file.Path));
        if (options.QuestionColumn is { } question)
            return options.AnswerColumn is { } answer ? [Text(file, question), Text(file, answer)] : [Text(file, question)];
        return [.. MessageColumns(file, options), .. TemplateColumns(file, options)];
    }

    private static Field[] MessageColumns(ParquetFile file, ChatDataOptions options)
    {
        if ((file.Find(options.MessagesColumn) ?? file.Find(ChatRow.ShareGptKey)) is not { } messages)
        {
            if (file.Find(Alpaca.InstructionKey) is null)
                throw Missing(file, options.MessagesColumn, $"name another {nameof(ChatDataOptions.MessagesColumn)}, or a {nameof(ChatDataOptions.QuestionColumn)} and {nameof(ChatDataOptions.AnswerColumn)}");
            string[] optional = [Alpaca.InputKey, Alpaca.OutputKey];
            return [Text(file, Alpaca.InstructionKey), .. optional.Where(name => file.Find(name) is not null).Select(name => Text(file, name))];
        }
        if (messages is not ListField && !ParquetFile.IsText(messages))
            throw new ChatDataException($"column '{messages.Name}' must be a list of messages or the JSON text of one, it holds {ParquetFile.Describe(messages)}", new ChatPosition(file.Path));
        return [messages];
    }

    private static IEnumerable<Field> TemplateColumns(ParquetFile file, ChatDataOptions options) =>
    [
        .. ChatRow.TemplateKeys.Except(options.TemplateColumns).Select(file.Find).OfType<Field>(),
        .. options.TemplateColumns.Select(name => file.Find(name) ?? throw Missing(file, name, $"correct {nameof(ChatDataOptions.TemplateColumns)}")),
    ];

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
