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
            throw new ChatDataException($"the file has a column '{media.Name}', and this library is text only: write the file again "
                + "without it and the rows that need it", new ChatPosition(file.Path));
        Field[] rows = options.QuestionColumn is not { } question ? MessageColumns(file, options)
            : options.AnswerColumn is { } answer ? [Text(file, question), Text(file, answer)] : [Text(file, question)];
        Field[] columns = [.. rows.Concat(TemplateColumns(file, options)).DistinctBy(column => column.Name)];
        if (columns.Select(ParquetRecords.FindUnreadable).OfType<Field>().FirstOrDefault() is { } unreadable)
            throw new ChatDataException($"column '{unreadable.Path}' holds {ParquetFile.Describe(unreadable)}, which has no JSON form "
                + "here: store it as text, or leave it out", new ChatPosition(file.Path));
        return columns;
    }

    private static Field[] MessageColumns(ParquetFile file, ChatDataOptions options)
    {
        if ((file.Find(options.MessagesColumn) ?? file.Find(ChatRow.ShareGptKey)) is not { } messages)
        {
            if (file.Find(PromptCompletion.PromptKey) is ListField prompt
                && file.Find(PromptCompletion.CompletionKey) is ListField completion)
                return [prompt, completion];
            if (file.Find(Alpaca.InstructionKey) is null)
                throw Missing(file, options.MessagesColumn,
                    $"name another {nameof(ChatDataOptions.MessagesColumn)}, or a {nameof(ChatDataOptions.QuestionColumn)} and "
                    + $"{nameof(ChatDataOptions.AnswerColumn)}");
            return [Text(file, Alpaca.InstructionKey), .. Alpaca.OptionalKeys.Where(name => file.Find(name) is not null)
                .Select(name => Text(file, name)),
                .. Alpaca.OtherNames.Select(file.Find).OfType<Field>().Where(ParquetFile.IsText), .. Optional(Alpaca.HistoryKey)];
        }
        bool isTurns = messages.Name == ChatRow.ShareGptKey;
        if (messages is ListField { Item: StructField turn })
        {
            bool Has(string name) => turn.Fields.Any(field => field.Name == name);
            isTurns = Has("from") && !Has("role");
            CheckTurn(file, messages.Name, turn, isTurns ? ["from", "value"] : ["role"]);
        }
        else if (!ParquetFile.IsText(messages))
            throw new ChatDataException($"column '{messages.Name}' must be a list of messages or the JSON text of one, it holds "
                + $"{ParquetFile.Describe(messages)}", new ChatPosition(file.Path));
        return !isTurns && messages.Name != ChatRow.ShareGptKey ? [messages]
            : [messages, .. Optional(ChatRow.SystemKey).Select(column => Text(file, column.Name))];

        Field[] Optional(string name) => file.Find(name) is { } column ? [column] : [];
    }

    private static void CheckTurn(ParquetFile file, string column, StructField turn, string[] needed)
    {
        foreach (string name in needed)
        {
            if (!turn.Fields.Any(field => field.Name == name && ParquetFile.IsText(field)))
            {
                throw new ChatDataException(
                    $"the messages of column '{column}' have no text '{name}'; they have "
                        + $"{string.Join(", ", turn.Fields.Select(field => $"'{field.Name}'"))}: name the column with messages in "
                        + $"{nameof(ChatDataOptions.MessagesColumn)}",
                    new ChatPosition(file.Path));
            }
        }
    }

    private static IEnumerable<Field> TemplateColumns(ParquetFile file, ChatDataOptions options) =>
    [
        .. ChatRow.TemplateKeys.Except(options.TemplateColumns).Select(file.Find).OfType<Field>(),
        .. options.TemplateColumns.Select(name => file.Find(name)
            ?? throw Missing(file, name, $"correct {nameof(ChatDataOptions.TemplateColumns)}")),
    ];

    private static Field Text(ParquetFile file, string name)
    {
        Field column = file.Find(name) ?? throw Missing(file, name, "name one of these");
        if (!ParquetFile.IsText(column))
            throw new ChatDataException($"column '{name}' must be text, it holds {ParquetFile.Describe(column)}",
                new ChatPosition(file.Path));
        return column;
    }

    private static ChatDataException Missing(ParquetFile file, string name, string remedy) =>
        new($"there is no column '{name}'; the file has {string.Join(", ", file.Columns.Select(column => $"'{column.Name}'"))}: {remedy}",
            new ChatPosition(file.Path))
        { MissingColumn = name };
}
