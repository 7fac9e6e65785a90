using System.CommandLine;
using Microsoft.ML;
using Microsoft.ML.Data;

namespace DiffusionGemma;

/// <summary>The options that say how rows of a file are conversations.</summary>
internal sealed class RowOptions
{
    private readonly Option<string?> _question = CommonOptions.Text(
        "--question-column", "Column or key with the question; rows of messages need none.", "NAME");
    private readonly Option<string?> _answer = CommonOptions.Text(
        "--answer-column", "Column or key with the answer to the question.", "NAME");
    private readonly Option<string?> _messages = CommonOptions.Text(
        "--messages-column", "Column or key with the messages (default: messages; ShareGPT's and Alpaca's are found too).", "NAME");
    private readonly Option<string?> _system = CommonOptions.Text(
        "--system-prompt", "A system message before each question.", "TEXT");

    public RowOptions(Command command, bool withAnswers)
    {
        command.Add(_question);
        if (withAnswers) command.Add(_answer);
        command.Add(_messages);
        command.Add(_system);
    }

    /// <summary>Reads the options. Without a column, rows of <c>question</c> and <c>answer</c> are found as well as messages.</summary>
    public ChatDataOptions Read(ParseResult parsed)
    {
        var options = new ChatDataOptions
        {
            QuestionColumn = parsed.GetValue(_question),
            AnswerColumn = parsed.GetResult(_answer) is null ? null : parsed.GetValue(_answer),
            SystemPrompt = parsed.GetValue(_system),
        };
        if (parsed.GetValue(_messages) is { } messages)
        {
            if (options.QuestionColumn is not null) throw new ToolException(
                ExitCode.Usage, "--messages-column and --question-column exclude each other: name one.");
            options.MessagesColumn = messages;
        }
        if (options.QuestionColumn is null && options.AnswerColumn is not null)
            throw new ToolException(ExitCode.Usage, "--answer-column needs a --question-column.");
        if (options.QuestionColumn is null && options.SystemPrompt is not null)
            throw new ToolException(ExitCode.Usage, "--system-prompt needs a --question-column: rows of messages carry their own.");
        return options;
    }

    /// <summary>Loads rows.</summary>
    /// <param name="ml">The context.</param>
    /// <param name="path">A file, pattern, folder, or address on the Hub.</param>
    /// <param name="options">As <see cref="Read"/> gives them; changed where rows of questions are found.</param>
    public static IDataView Load(MLContext ml, string path, ChatDataOptions options) =>
        Stage.Data(() => Load(ml, [DataFiles.Resolve(path)], options, withAnswers: true));

    /// <summary>Loads rows. Where they are no messages but have a <c>question</c>, as GSM8K's and its like, that is read.</summary>
    /// <param name="ml">The context.</param>
    /// <param name="files">Files or patterns of one kind.</param>
    /// <param name="options">As <see cref="Read"/> gives them; changed where rows of questions are found.</param>
    /// <param name="withAnswers">True to read <c>answer</c> too.</param>
    public static IDataView Load(MLContext ml, string[] files, ChatDataOptions options, bool withAnswers)
    {
        try
        {
            return LoadFiles(ml, files, options);
        }
        catch (ChatDataException error) when (error.MissingColumn == "messages" && options.QuestionColumn is null)
        {
            (options.QuestionColumn, options.AnswerColumn) = ("question", withAnswers ? "answer" : null);
            try
            {
                return LoadFiles(ml, files, options);
            }
            catch (ChatDataException other) when (other.MissingColumn is not null)
            {
                throw error;
            }
        }
    }

    private static IDataView LoadFiles(MLContext ml, string[] files, ChatDataOptions options)
    {
        if (DataFiles.IsParquet(files[0])) return ml.Data.LoadChatFromParquet(options, files);
        RequireKeys(ml, files, options);
        return ml.Data.LoadChatFromJsonLines(options, files);
    }

    /// <summary>Checks that the first row of JSON Lines has the keys. Other faults are reported by the pass over all rows.</summary>
    private static void RequireKeys(MLContext ml, string[] files, ChatDataOptions options)
    {
        var strict = new ChatDataOptions
        {
            MessagesColumn = options.MessagesColumn, QuestionColumn = options.QuestionColumn, AnswerColumn = options.AnswerColumn,
        };
        try
        {
            _ = ml.Data.TakeRows(ml.Data.LoadChatFromJsonLines(strict, files), 1).GetColumn<string>(strict.OutputColumn).FirstOrDefault();
        }
        catch (ChatDataException error) when (error.MissingColumn is null)
        {
        }
    }
}
