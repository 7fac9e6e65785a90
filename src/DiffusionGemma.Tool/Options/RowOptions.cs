using System.CommandLine;
using Microsoft.ML;

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
    /// <param name="options">As <see cref="Read"/> gives them.</param>
    public static IDataView Load(MLContext ml, string path, ChatDataOptions options) => Stage.Data(() =>
    {
        string files = DataFiles.Resolve(path);
        if (!DataFiles.IsParquet(files)) return ml.Data.LoadChatFromJsonLines(options, files);
        try
        {
            return ml.Data.LoadChatFromParquet(options, files);
        }
        catch (ChatDataException error) when (error.MissingColumn == "messages" && options.QuestionColumn is null)
        {
            // GSM8K and its like have questions and answers.
            (options.QuestionColumn, options.AnswerColumn) = ("question", "answer");
            return ml.Data.LoadChatFromParquet(options, files);
        }
    });
}
