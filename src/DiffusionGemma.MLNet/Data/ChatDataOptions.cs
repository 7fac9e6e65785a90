namespace DiffusionGemma;

/// <summary>
/// How rows of a file become conversations. Two kinds of rows are known: those that hold the messages of a conversation, and those that
/// hold a question and (for training) its answer.
/// </summary>
public sealed class ChatDataOptions
{
    /// <summary>
    /// The column (parquet) or key (JSON Lines) with the messages: a list of objects with <c>role</c> and <c>content</c>, or the JSON text of
    /// one. Where there is none, ShareGPT's <c>conversations</c> are looked for, and then Alpaca's <c>instruction</c>, <c>input</c> and <c>output</c>;
    /// a text <c>system</c> beside these goes before the first turn.
    /// </summary>
    public string MessagesColumn { get; set; } = "messages";

    /// <summary>The column or key with the question. If set, each row becomes a question and its answer, and no messages are looked for.</summary>
    public string? QuestionColumn { get; set; }

    /// <summary>The column or key with the answer to <see cref="QuestionColumn"/>; null: the rows are questions to be answered.</summary>
    public string? AnswerColumn { get; set; }

    /// <summary>A system message before each question; null: none. Rows with messages carry their own.</summary>
    public string? SystemPrompt { get; set; }

    /// <summary>
    /// Columns of a table (parquet, data frame) that the chat template is to see beside the messages. <c>tools</c> and
    /// <c>chat_template_kwargs</c> are always read where they are there. Rows of JSON Lines keep every key, whether named here or not.
    /// </summary>
    public IReadOnlyList<string> TemplateColumns { get; set; } = [];

    /// <summary>
    /// How many rows that are no conversations a pass over the data leaves out; the next one ends it with its <see cref="ChatDataException"/>.
    /// Each row left out is a warning of <c>MLContext.Log</c> with its place and reason, and <c>GetSkippedChatRows</c> gives them. A file that
    /// cannot be read on (damaged, a line without end) ends the pass whatever is allowed. 0: the first bad row ends it.
    /// </summary>
    public int MaxErrors { get; set; }

    /// <summary>
    /// A checkpoint's folder whose chat template and tokenizer each row must pass while it is loaded, so that what they refuse is a bad row of its file and
    /// line as others are, and <see cref="MaxErrors"/> counts it. Rows are tokenized once more for it. Null: the first step that tokenizes a row refuses it.
    /// </summary>
    public string? Checkpoint { get; set; }

    /// <summary>The text column of the data view that is loaded.</summary>
    public string OutputColumn { get; set; } = ChatColumns.Messages;

    internal void Validate()
    {
        ArgumentException.ThrowIfNullOrEmpty(MessagesColumn);
        ArgumentException.ThrowIfNullOrEmpty(OutputColumn);
        ArgumentNullException.ThrowIfNull(TemplateColumns);
        ArgumentOutOfRangeException.ThrowIfNegative(MaxErrors);
        if (QuestionColumn is not null && TemplateColumns.Count > 0)
            throw new ArgumentException($"{nameof(TemplateColumns)} go with rows of messages, and {nameof(QuestionColumn)} says that the rows are questions.");
        if (QuestionColumn is null && AnswerColumn is not null)
            throw new ArgumentException($"{nameof(AnswerColumn)} '{AnswerColumn}' needs a {nameof(QuestionColumn)}: set both, or neither for rows with messages.");
        if (QuestionColumn is null && SystemPrompt is not null)
            throw new ArgumentException($"{nameof(SystemPrompt)} goes before a {nameof(QuestionColumn)}, which is not set. In rows with messages write it as a message of the role system.");
    }

    internal ChatDataOptions Copy()
    {
        var copy = (ChatDataOptions)MemberwiseClone();
        copy.TemplateColumns = [.. TemplateColumns];
        return copy;
    }
}
