namespace DiffusionGemma;

/// <summary>Settings for reading rows as conversations.</summary>
/// <remarks>A row holds either the messages of a conversation, or a question and (for training) its answer.</remarks>
public sealed class ChatDataOptions
{
    /// <summary>
    /// The column (parquet) or key (JSON Lines) with the messages: a list of objects with <c>role</c> and <c>content</c>, or its JSON text.
    /// Default: "messages".
    /// </summary>
    /// <remarks>
    /// If it is absent, ShareGPT's <c>conversations</c> are read, else TRL's lists <c>prompt</c> and <c>completion</c>, and else Alpaca's
    /// <c>instruction</c>, <c>input</c> and <c>output</c> (or Dolly's <c>context</c> and <c>response</c>); a text <c>system</c> in a row of
    /// ShareGPT's or Alpaca's becomes the first message. The list may have ShareGPT's turns under any key.
    /// </remarks>
    public string MessagesColumn { get; set; } = "messages";

    /// <summary>The column or key with the question.</summary>
    /// <remarks>If set, each row becomes a question and its answer, and no messages are read.</remarks>
    public string? QuestionColumn { get; set; }

    /// <summary>The column or key with the answer to <see cref="QuestionColumn"/>; null: the rows are questions to be answered.</summary>
    public string? AnswerColumn { get; set; }

    /// <summary>A system message before each question; null: none.</summary>
    /// <remarks>Rows with messages carry their own.</remarks>
    public string? SystemPrompt { get; set; }

    /// <summary>Columns of a table (parquet, data frame) that the chat template gets as arguments.</summary>
    /// <remarks>
    /// <c>tools</c> and <c>chat_template_kwargs</c> are always read where they exist. Rows of JSON Lines keep every key, listed here or
    /// not.
    /// </remarks>
    public IReadOnlyList<string> TemplateColumns { get; set; } = [];

    /// <summary>
    /// The number of invalid rows that one pass over the data skips; the next one is thrown as a <see cref="ChatDataException"/>. 0: the
    /// first. Default: 0.
    /// </summary>
    /// <remarks>
    /// Each skipped row is a warning of <c>MLContext.Log</c> with its position and reason, and <c>GetSkippedChatRows</c> returns them. A
    /// file that cannot be read further (damaged, a line without end) ends the pass in any case.
    /// </remarks>
    public int MaxErrors { get; set; }

    /// <summary>
    /// A checkpoint's folder or id on the Hub, whose chat template and tokenizer check each row while it is loaded; null: no check, the
    /// first step that tokenizes a row fails.
    /// </summary>
    /// <remarks>
    /// With it, a row that the template or tokenizer refuses is an invalid row of its file and line, counted by <see cref="MaxErrors"/>.
    /// Rows are tokenized once more for it.
    /// </remarks>
    public string? Checkpoint { get; set; }

    /// <summary>
    /// The file of a chat template that checks rows in place of that of <see cref="Checkpoint"/>; null: the checkpoint's.
    /// </summary>
    public string? ChatTemplate { get; set; }

    /// <summary>The text column of the data view that is loaded. Default: "Messages".</summary>
    public string OutputColumn { get; set; } = ChatColumns.Messages;

    internal void Validate()
    {
        static void Require(bool holds, string fault)
        {
            if (!holds) throw new ArgumentException(fault);
        }
        OptionChecks.All(
            () => ArgumentException.ThrowIfNullOrEmpty(MessagesColumn),
            () => ArgumentException.ThrowIfNullOrEmpty(OutputColumn),
            () => ArgumentNullException.ThrowIfNull(TemplateColumns),
            () => ArgumentOutOfRangeException.ThrowIfNegative(MaxErrors),
            () => Require(ChatTemplate is null || Checkpoint is not null,
                $"{nameof(ChatTemplate)} checks rows together with a tokenizer: name its {nameof(Checkpoint)} too."),
            () => Require(QuestionColumn is null || TemplateColumns is not { Count: > 0 },
                $"{nameof(TemplateColumns)} go with rows of messages, and {nameof(QuestionColumn)} says that the rows are questions."),
            () => Require(QuestionColumn is not null || AnswerColumn is null,
                $"{nameof(AnswerColumn)} '{AnswerColumn}' needs a {nameof(QuestionColumn)}: set both, or neither for rows with messages."),
            () => Require(QuestionColumn is not null || SystemPrompt is null,
                $"{nameof(SystemPrompt)} goes before a {nameof(QuestionColumn)}, which is not set. In rows with messages write it as a "
                + "message of the role system."));
    }

    internal ChatDataOptions Copy()
    {
        var copy = (ChatDataOptions)MemberwiseClone();
        copy.TemplateColumns = [.. TemplateColumns];
        return copy;
    }
}
