namespace DiffusionGemma;

/// <summary>Options of turning conversations into ids.</summary>
public sealed record ChatTokenizerOptions
{
    /// <summary>
    /// True encodes the text of a special token that the row brings (in messages, tools, template arguments) as ordinary text, so that no
    /// content can end a turn or open another. The template's own special tokens stay. False by default: as in transformers, such text
    /// becomes the control token.
    /// </summary>
    /// <remarks>
    /// The text stays the same to the letter; only its ids differ. A row is refused where that cannot be: where the template
    /// itself looks into the content for special tokens, as one does that takes old thoughts out of the answers.
    /// </remarks>
    public bool EscapeSpecialTokens { get; init; }

    /// <summary>
    /// True does the same for untrusted text alone: messages of all roles but system, developer and assistant, the assistant's tool calls,
    /// definitions of tools, and documents. False by default.
    /// </summary>
    public bool EscapeUserText { get; init; }

    /// <summary>Treatment of the answer's reasoning in the assistant mask; <see cref="ReasoningTraining.Train"/> by default.</summary>
    public ReasoningTraining Reasoning { get; init; }

    /// <summary>
    /// True puts the last answer behind the prompt that answering is asked with, where the template writes another one before an answer
    /// (see <see cref="ChatTemplateReport.PromptsDiffer"/>). An answer that brings its own thought channel stays as the template writes it.
    /// False by default: as the template writes it.
    /// </summary>
    public bool TrainOnGenerationPrompt { get; init; }
}
