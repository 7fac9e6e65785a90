using DiffusionGemma;
using Microsoft.ML.Data;

namespace Microsoft.ML;

/// <summary>
/// Loads conversations for DiffusionGemma. Each method gives a data view with one text column, <c>Messages</c>: the JSON of the messages
/// array, or of the whole row where it has other keys (tools, arguments of the chat template). Rows are read lazily and anew by every pass
/// over the data, and a row that is no conversation is a <see cref="ChatDataException"/> that names the file and the line or row.
/// </summary>
public static class DiffusionGemmaDataExtensions
{
    /// <summary>Loads conversations from JSON Lines: a row object with <c>messages</c> or with ShareGPT's <c>conversations</c> on each line.</summary>
    /// <param name="catalog">The catalog.</param>
    /// <param name="paths">UTF-8 files, read one after another. Blank lines are skipped.</param>
    /// <exception cref="FileNotFoundException">A file is not there.</exception>
    public static IDataView LoadChatFromJsonLines(this DataOperationsCatalog catalog, params string[] paths) =>
        LoadChatFromJsonLines(catalog, new ChatDataOptions(), paths);

    /// <summary>Loads conversations from JSON Lines as the options say.</summary>
    /// <param name="catalog">The catalog.</param>
    /// <param name="options">Which keys hold what.</param>
    /// <param name="paths">UTF-8 files, read one after another. Blank lines are skipped.</param>
    /// <exception cref="FileNotFoundException">A file is not there.</exception>
    public static IDataView LoadChatFromJsonLines(this DataOperationsCatalog catalog, ChatDataOptions options, params string[] paths) =>
        View(catalog, options, checkedOptions => new JsonLinesSource(paths, checkedOptions));

    /// <summary>
    /// Loads conversations from a parquet file: from a column of messages (a list of structs with <c>role</c> and <c>content</c>, or JSON
    /// text), or from a column of questions and one of answers. A <c>tools</c> column beside the messages is kept, other columns are not read.
    /// </summary>
    /// <param name="catalog">The catalog.</param>
    /// <param name="path">The file. A row group at a time is in memory.</param>
    /// <param name="questionColumn">The column with the questions; null: the rows hold messages.</param>
    /// <param name="answerColumn">The column with the answers; null: the questions are to be answered.</param>
    /// <param name="systemPrompt">A system message before each question; null: none.</param>
    /// <param name="messagesColumn">The column with the messages, where no question column is named.</param>
    /// <exception cref="FileNotFoundException">The file is not there.</exception>
    /// <exception cref="ChatDataException">The file is no parquet file, or has not the columns.</exception>
    public static IDataView LoadChatFromParquet(this DataOperationsCatalog catalog, string path, string? questionColumn = null, string? answerColumn = null,
        string? systemPrompt = null, string messagesColumn = "messages") =>
        LoadChatFromParquet(catalog, new ChatDataOptions
        {
            QuestionColumn = questionColumn,
            AnswerColumn = answerColumn,
            SystemPrompt = systemPrompt,
            MessagesColumn = messagesColumn,
        }, path);

    /// <summary>Loads conversations from parquet files as the options say.</summary>
    /// <param name="catalog">The catalog.</param>
    /// <param name="options">Which columns hold what.</param>
    /// <param name="paths">The files, read one after another, a row group in memory at a time.</param>
    /// <exception cref="FileNotFoundException">A file is not there.</exception>
    /// <exception cref="ChatDataException">A file is no parquet file, or has not the columns.</exception>
    public static IDataView LoadChatFromParquet(this DataOperationsCatalog catalog, ChatDataOptions options, params string[] paths) =>
        View(catalog, options, checkedOptions => new ParquetSource(paths, checkedOptions));

    /// <summary>Loads conversations from their JSON: messages arrays, or objects with <c>messages</c>.</summary>
    /// <param name="catalog">The catalog.</param>
    /// <param name="rows">The rows. Every pass over the data enumerates them anew.</param>
    public static IDataView LoadChatFromEnumerable(this DataOperationsCatalog catalog, IEnumerable<string> rows)
    {
        ArgumentNullException.ThrowIfNull(rows);
        return View(catalog, new ChatDataOptions(), _ => new EnumerableSource<string>(rows, row => row));
    }

    /// <summary>Loads conversations from messages in memory.</summary>
    /// <param name="catalog">The catalog.</param>
    /// <param name="conversations">The conversations. Every pass over the data enumerates them anew.</param>
    public static IDataView LoadChatFromEnumerable(this DataOperationsCatalog catalog, IEnumerable<IReadOnlyList<ChatMessage>> conversations)
    {
        ArgumentNullException.ThrowIfNull(conversations);
        return View(catalog, new ChatDataOptions(), _ => new EnumerableSource<IReadOnlyList<ChatMessage>>(conversations, ChatMessage.ToJson));
    }

    private static ChatDataView View(DataOperationsCatalog catalog, ChatDataOptions options, Func<ChatDataOptions, IChatSource> source)
    {
        ArgumentNullException.ThrowIfNull(catalog);
        ArgumentNullException.ThrowIfNull(options);
        options = options.Copy();
        options.Validate();
        return new ChatDataView(CatalogUtils.GetEnvironment(catalog), source(options), options.OutputColumn);
    }
}
