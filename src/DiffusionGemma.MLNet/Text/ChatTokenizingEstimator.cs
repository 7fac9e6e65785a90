using Microsoft.ML;
using Microsoft.ML.Data;
using Microsoft.ML.Runtime;

namespace DiffusionGemma;

/// <summary>
/// Renders conversations with the checkpoint's own chat template and tokenizes them.
/// <code>
/// Messages        [{"role":"user","content":"2+2?"},{"role":"assistant","content":"4"}]
/// InputIds        &lt;bos&gt; &lt;|turn&gt; user ⏎ 2 + 2 ? &lt;turn|&gt; ⏎ &lt;|turn&gt; model ⏎  4 &lt;turn|&gt; ⏎
/// AssistantMask     .     .    .   . . . . .    .    .    .      .   .  #    #    #
/// </code>
/// A conversation whose last message is not the assistant's ends in the prompt for an answer, and its mask is empty.
/// </summary>
public sealed class ChatTokenizingEstimator : TrivialEstimator<ChatTokenizingTransformer>
{
    internal ChatTokenizingEstimator(IHostEnvironment environment, ChatTokenizingTransformer transformer)
        : base(environment.Register(nameof(ChatTokenizingEstimator)), transformer)
    {
    }

    /// <inheritdoc/>
    public override SchemaShape GetOutputSchema(SchemaShape inputSchema)
    {
        ArgumentNullException.ThrowIfNull(inputSchema);
        Transformer.Input.CheckIn(inputSchema, Host);
        return TypedColumn.Add(inputSchema, Transformer.Outputs);
    }

    /// <summary>Settings of the step.</summary>
    public sealed class Options
    {
        /// <summary>Vector of int: the token ids. Default: "InputIds".</summary>
        public string OutputColumnName { get; set; } = ChatColumns.InputIds;

        /// <summary>Vector of bool, as long: true for the assistant's tokens. Default: "AssistantMask".</summary>
        public string MaskColumnName { get; set; } = ChatColumns.AssistantMask;

        /// <summary>
        /// Vector of text: what training would miss in the row (<see cref="ChatColumns.RowNotes"/>). Default: "RowNotes".
        /// </summary>
        public string NotesColumnName { get; set; } = ChatColumns.RowNotes;

        /// <summary>Text: the conversation as JSON. Default: "Messages".</summary>
        public string InputColumnName { get; set; } = ChatColumns.Messages;

        /// <summary>
        /// True: the text of a special token inside a message, such as <c>&lt;turn|&gt;</c>, stays text; false, as in transformers: it
        /// becomes the token.
        /// </summary>
        public bool EscapeSpecialTokens { get; set; }

        /// <summary>The file of a chat template of one's own, whose text is saved with the model; null: the checkpoint's.</summary>
        /// <remarks>
        /// A copy of the checkpoint's with <c>{% generation %}</c> tags around what the assistant writes is needed where the prompt of an
        /// answer is not how the answered conversation begins.
        /// </remarks>
        public string? ChatTemplate { get; set; }

        /// <summary>
        /// Treatment of an answer's reasoning in training; <see cref="ReasoningTraining.Train"/> by default: the model learns to write it.
        /// Default: <see cref="ReasoningTraining.Train"/>.
        /// </summary>
        public ReasoningTraining Reasoning { get; set; } = ReasoningTraining.Train;

        /// <summary>
        /// True: the last answer stands behind the prompt that the model is asked with, where the chat template writes another one before
        /// an answer. False by default: as the template writes it; <c>Fit</c> then says where the two differ.
        /// </summary>
        public bool TrainOnGenerationPrompt { get; set; }

        internal ChatTokenizerOptions Tokenizing => new()
        {
            EscapeSpecialTokens = EscapeSpecialTokens, Reasoning = Reasoning, TrainOnGenerationPrompt = TrainOnGenerationPrompt,
        };

        internal void Validate() => OptionChecks.All(
            () => ArgumentException.ThrowIfNullOrEmpty(OutputColumnName),
            () => ArgumentException.ThrowIfNullOrEmpty(MaskColumnName),
            () => ArgumentException.ThrowIfNullOrEmpty(NotesColumnName),
            () => ArgumentException.ThrowIfNullOrEmpty(InputColumnName),
            () =>
            {
                if (!Enum.IsDefined(Reasoning))
                    throw new ArgumentOutOfRangeException(nameof(Reasoning), Reasoning, "Reasoning must be Train or Ignore.");
            });
    }
}
