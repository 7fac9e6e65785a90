using DiffusionGemma;
using Microsoft.Data.Analysis;
using Microsoft.ML.Data;

namespace Microsoft.ML;

/// <summary>Loads conversations as a data view with one text column, <c>Messages</c>.</summary>
/// <remarks>
/// A value is the JSON of the messages array, or of the whole row where it has other keys (tools, arguments of the chat template). Rows are
/// read lazily, again in every pass over the data. An invalid row is a <see cref="ChatDataException"/> that names the file and the line or
/// row, unless <see cref="ChatDataOptions.MaxErrors"/> allows to skip it. Rows with images, audio or video are refused: text only.
/// Files may be named by patterns: <c>*</c> and <c>?</c> stand for characters of one name, the name <c>**</c> for any number of folders.
/// Files are read in the order of the arguments, those of one pattern in the ordinal order of their paths (so file10 before file2), and a
/// file that is named twice is read twice. Patterns are resolved when the view is made. Files may be on the Hugging Face Hub too,
/// <c>hf://datasets/openai/gsm8k/main/train-*.parquet</c>: they are downloaded when the view is made (<see cref="HubPath"/>).
/// </remarks>
public static class DiffusionGemmaDataExtensions
{
    /// <summary>
    /// Loads conversations from JSON Lines, a row on each line, or from JSON files that are one list of rows: an object with
    /// <c>messages</c>, with ShareGPT's <c>conversations</c>, or with Alpaca's <c>instruction</c>, <c>input</c> and <c>output</c>.
    /// </summary>
    /// <param name="catalog">The catalog.</param>
    /// <param name="paths">UTF-8 files, patterns of such or addresses on the Hub. Blank lines are skipped.</param>
    /// <exception cref="FileNotFoundException">A file is not there, or a pattern matches none.</exception>
    /// <exception cref="HubException">The Hub does not give a file.</exception>
    public static IDataView LoadChatFromJsonLines(this DataOperationsCatalog catalog, params string[] paths) =>
        LoadChatFromJsonLines(catalog, new ChatDataOptions(), paths);

    /// <summary>Loads conversations from JSON Lines, or JSON files that are one list of rows, as the options say.</summary>
    /// <param name="catalog">The catalog.</param>
    /// <param name="options">Which keys hold what.</param>
    /// <param name="paths">UTF-8 files, patterns of such or addresses on the Hub. Blank lines are skipped.</param>
    /// <exception cref="FileNotFoundException">A file is not there, or a pattern matches none.</exception>
    /// <exception cref="HubException">The Hub does not give a file.</exception>
    public static IDataView LoadChatFromJsonLines(this DataOperationsCatalog catalog, ChatDataOptions options, params string[] paths) =>
        View(catalog, options, _ => new JsonLinesSource(HubDownloads.FindFiles(CatalogUtils.GetEnvironment(catalog), paths)));

    /// <summary>
    /// Loads conversations from a parquet file: from a column of messages, or from a column of questions and one of answers.
    /// </summary>
    /// <remarks>
    /// Messages are a list of structs with <c>role</c> and <c>content</c>, or its JSON text; ShareGPT's and Alpaca's columns are read too.
    /// <c>tools</c> and <c>chat_template_kwargs</c> are kept, nested or as JSON text; other columns are not read unless
    /// <see cref="ChatDataOptions.TemplateColumns"/> names them.
    /// </remarks>
    /// <param name="catalog">The catalog.</param>
    /// <param name="path">The file, a pattern or an address on the Hub. A row group at a time is in memory.</param>
    /// <param name="questionColumn">The column with the questions; null: the rows hold messages.</param>
    /// <param name="answerColumn">The column with the answers; null: the questions are to be answered.</param>
    /// <param name="systemPrompt">A system message before each question; null: none.</param>
    /// <param name="messagesColumn">The column with the messages, where no question column is named.</param>
    /// <exception cref="FileNotFoundException">The file is not there, or the pattern matches none.</exception>
    /// <exception cref="HubException">The Hub does not give a file.</exception>
    /// <exception cref="ChatDataException">The file is no parquet file, or has not the columns.</exception>
    public static IDataView LoadChatFromParquet(this DataOperationsCatalog catalog, string path, string? questionColumn = null,
        string? answerColumn = null,
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
    /// <param name="paths">Files, patterns of such or addresses on the Hub, a row group in memory at a time.</param>
    /// <exception cref="FileNotFoundException">A file is not there, or a pattern matches none.</exception>
    /// <exception cref="HubException">The Hub does not give a file.</exception>
    /// <exception cref="ChatDataException">A file is no parquet file, or has not the columns.</exception>
    public static IDataView LoadChatFromParquet(this DataOperationsCatalog catalog, ChatDataOptions options, params string[] paths) =>
        View(catalog, options, checkedOptions =>
            new ParquetSource(HubDownloads.FindFiles(CatalogUtils.GetEnvironment(catalog), paths), checkedOptions));

    /// <summary>Loads conversations from their JSON: messages arrays, or row objects as in JSON Lines.</summary>
    /// <param name="catalog">The catalog.</param>
    /// <param name="rows">The rows. Every pass over the data enumerates them again.</param>
    public static IDataView LoadChatFromEnumerable(this DataOperationsCatalog catalog, IEnumerable<string> rows) =>
        LoadChatFromEnumerable(catalog, new ChatDataOptions(), rows);

    /// <summary>Loads conversations from their JSON as the options say.</summary>
    /// <param name="catalog">The catalog.</param>
    /// <param name="options">Which keys hold what.</param>
    /// <param name="rows">The rows. Every pass over the data enumerates them again.</param>
    public static IDataView LoadChatFromEnumerable(this DataOperationsCatalog catalog, ChatDataOptions options, IEnumerable<string> rows)
    {
        ArgumentNullException.ThrowIfNull(rows);
        return View(catalog, options, _ => new EnumerableSource<string>(rows, row => row));
    }

    /// <summary>Loads conversations from messages in memory.</summary>
    /// <param name="catalog">The catalog.</param>
    /// <param name="conversations">The conversations. Every pass over the data enumerates them again.</param>
    public static IDataView LoadChatFromEnumerable(this DataOperationsCatalog catalog,
        IEnumerable<IReadOnlyList<ConversationMessage>> conversations)
    {
        ArgumentNullException.ThrowIfNull(conversations);
        return View(catalog, new ChatDataOptions(), _ => new EnumerableSource<IReadOnlyList<ConversationMessage>>(conversations,
            ConversationMessage.ToJson));
    }

    /// <summary>Loads questions in plain text, with or without their answers.</summary>
    /// <param name="catalog">The catalog.</param>
    /// <param name="rows">The rows. Every pass over the data enumerates them again.</param>
    public static IDataView LoadChatFromEnumerable(this DataOperationsCatalog catalog, IEnumerable<QuestionAnswer> rows)
    {
        ArgumentNullException.ThrowIfNull(rows);
        return View(catalog, new ChatDataOptions(), _ => new EnumerableSource<QuestionAnswer>(rows, row => ChatRows.ToJson(row.Messages)));
    }

    /// <summary>
    /// Loads typed rows to learn from: the input is the user's message, the answer what <c>gemma.Extract</c> and <c>gemma.Classify</c> then
    /// read.
    /// <code>
    /// ("two red pens", new Order { Count = 2 })      user: two red pens      assistant: {"count":2}
    /// </code>
    /// </summary>
    /// <typeparam name="TInput">A text, or a type that is written as JSON.</typeparam>
    /// <typeparam name="TOutput">A type, written as <see cref="AnswerGrammar.Json{T}"/> allows; or a label: a text or an enum.</typeparam>
    /// <param name="catalog">The catalog.</param>
    /// <param name="rows">The rows. Every pass over the data enumerates them again.</param>
    /// <param name="instructions">The system message of every conversation; null: none.</param>
    /// <exception cref="GrammarException">The answer's type holds what grammars do not read; the part is named.</exception>
    public static IDataView LoadChat<TInput, TOutput>(this DataOperationsCatalog catalog,
        IEnumerable<(TInput Input, TOutput Output)> rows, string? instructions = null) =>
        LoadChat(catalog, rows, new TypedChatOptions { Instructions = instructions });

    /// <inheritdoc cref="LoadChat{TInput, TOutput}(DataOperationsCatalog, IEnumerable{ValueTuple{TInput, TOutput}}, string?)"/>
    /// <param name="catalog">The catalog.</param>
    /// <param name="rows">The rows. Every pass over the data enumerates them again.</param>
    /// <param name="options">The prompt, and how values are written.</param>
    /// <exception cref="ArgumentException">The schema of a label is asked for.</exception>
    public static IDataView LoadChat<TInput, TOutput>(this DataOperationsCatalog catalog,
        IEnumerable<(TInput Input, TOutput Output)> rows, TypedChatOptions options)
    {
        ArgumentNullException.ThrowIfNull(rows);
        ArgumentNullException.ThrowIfNull(options);
        return View(catalog, new ChatDataOptions(), _ => new TypedChatSource<TInput, TOutput>(rows, options));
    }

    /// <summary>
    /// Loads conversations from a data frame: from a text column of messages as JSON (<c>messages</c>, or <c>Messages</c> as in a loaded
    /// view; ShareGPT's; Alpaca's columns), or from a column of questions and one of answers.
    /// </summary>
    /// <param name="catalog">The catalog.</param>
    /// <param name="frame">The frame. Every pass over the data reads it again.</param>
    /// <param name="options">Which columns hold what; null: the defaults.</param>
    /// <exception cref="ArgumentException">The frame has not the columns, or they hold something else.</exception>
    public static IDataView LoadChatFromDataFrame(this DataOperationsCatalog catalog, DataFrame frame, ChatDataOptions? options = null)
    {
        ArgumentNullException.ThrowIfNull(frame);
        return View(catalog, options ?? new ChatDataOptions(), checkedOptions => new DataFrameSource(frame, checkedOptions));
    }

    /// <summary>
    /// The rows that a pass over the data skipped, each with its position and reason (<see cref="ChatDataOptions.MaxErrors"/>).
    /// </summary>
    /// <remarks>They are those of the pass that last skipped a row or ended; empty before the first pass.</remarks>
    /// <param name="view">What one of the methods here gave.</param>
    /// <exception cref="ArgumentException">It is another view.</exception>
    public static IReadOnlyList<ChatDataException> GetSkippedChatRows(this IDataView view)
    {
        ArgumentNullException.ThrowIfNull(view);
        return view is ChatDataView chats
            ? chats.Skipped
            : throw new ArgumentException("Only a view that a LoadChatFrom... method gave knows the rows that were left out: ask it, not "
                + "what was made of it.", nameof(view));
    }

    private static ChatDataView View(DataOperationsCatalog catalog, ChatDataOptions options, Func<ChatDataOptions, IChatSource> source)
    {
        ArgumentNullException.ThrowIfNull(catalog);
        ArgumentNullException.ThrowIfNull(options);
        options = options.Copy();
        options.Validate();
        return new ChatDataView(CatalogUtils.GetEnvironment(catalog), source(options), options);
    }
}
