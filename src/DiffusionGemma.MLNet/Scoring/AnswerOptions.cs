namespace DiffusionGemma;

/// <summary>Settings for answering rows.</summary>
public sealed record AnswerOptions
{
    /// <summary>
    /// Denoising settings; null entries are taken from the checkpoint's generation_config.json. A
    /// <see cref="GenerationOptions.Grammar"/> is saved with the model; its vocabulary is the checkpoint's.
    /// </summary>
    public GenerationOptions Generation { get; init; } = new();

    /// <summary>Prompts that are denoised together; when one is answered, the next takes its place. Default: 8.</summary>
    public int BatchSize { get; init; } = 8;

    /// <summary>
    /// Rounds the weights of an unquantised checkpoint to 8 or 4 bits on loading. None: as they are stored, or as
    /// <see cref="FineTuneOptions.Quantization"/> says. Saved with a model; has no effect on one that is loaded already. Default:
    /// <see cref="Quantization.None"/>.
    /// </summary>
    public Quantization Quantization { get; init; }

    /// <summary>Batches of rows that a cursor reads ahead. Default: 4.</summary>
    /// <remarks>
    /// Finished prompts are replaced by waiting ones among these rows, and rows are returned in their order. With 1, a batch waits for its
    /// slowest row.
    /// </remarks>
    public int BatchesAhead { get; init; } = 4;

    /// <summary>
    /// Treatment of a row that cannot be answered: a conversation that cannot be tokenized, a missing prompt, one too long for the model,
    /// or logits that are not finite. Default: <see cref="RowFailure.Throw"/>.
    /// </summary>
    /// <remarks>Rows that are no conversations are skipped where they are loaded (<see cref="ChatDataOptions.MaxErrors"/>).</remarks>
    public RowFailure OnFailure { get; init; } = RowFailure.Throw;

    /// <summary>
    /// The token that ends a pass over the data with <see cref="OperationCanceledException"/>; it is checked before every decoder pass.
    /// </summary>
    /// <remarks>
    /// <see cref="GenerationOptions.ReturnOnCancellation"/> has no effect here, because half a batch would pass for a whole one. Not saved
    /// with a model.
    /// </remarks>
    public CancellationToken Cancellation { get; init; }

    /// <summary>
    /// The file of a chat template of one's own, whose text is saved with the model; null: that of the data's <c>TokenizeChat</c>, which is
    /// the checkpoint's where it names none.
    /// </summary>
    public string? ChatTemplate { get; init; }

    /// <summary>
    /// Vector of int: token ids, of which the first <see cref="PromptLengthColumnName"/> are the prompt. Default: "InputIds".
    /// </summary>
    public string InputIdsColumnName { get; init; } = ChatColumns.InputIds;

    /// <summary>Int: the tokens of the prompt. Default: "PromptLength".</summary>
    public string PromptLengthColumnName { get; init; } = ChatColumns.PromptLength;

    internal bool GivesErrors => OnFailure == RowFailure.EmptyAnswer;

    /// <summary>These options, a grammar's vocabulary being the checkpoint's where none is set.</summary>
    internal AnswerOptions With(CheckpointText text) => this with { Generation = text.Complete(Generation) };

    /// <exception cref="ArgumentOutOfRangeException">An option is out of range.</exception>
    /// <exception cref="ArgumentException">The grammar has no answer within MaxNewTokens.</exception>
    /// <exception cref="GrammarException">The tokenizer cannot spell any answer of the grammar.</exception>
    /// <exception cref="InvalidDataException">The checkpoint's generation_config.json cannot be honoured.</exception>
    internal void Validate(string checkpoint) => OptionChecks.All(
        () => ArgumentOutOfRangeException.ThrowIfLessThan(BatchSize, 1),
        () => ArgumentOutOfRangeException.ThrowIfLessThan(BatchesAhead, 1),
        () => ArgumentException.ThrowIfNullOrEmpty(InputIdsColumnName),
        () => ArgumentException.ThrowIfNullOrEmpty(PromptLengthColumnName),
        () =>
        {
            if (!Enum.IsDefined(OnFailure))
                throw new ArgumentOutOfRangeException(
                    nameof(OnFailure), OnFailure, "AnswerOptions.OnFailure must be one of the named ways.");
        },
        () =>
        {
            if (!Enum.IsDefined(Quantization))
                throw new ArgumentOutOfRangeException(
                    nameof(Quantization), Quantization, "AnswerOptions.Quantization must be None, Int8 or Int4.");
        },
        () => RequireAnswers(Generation.Resolve(checkpoint)));

    /// <exception cref="ArgumentException">The grammar has no answer within MaxNewTokens.</exception>
    private static void RequireAnswers(GenerationOptions resolved)
    {
        if (resolved is not { Grammar: { } grammar, Vocabulary: { } vocabulary }) return;
        int fewest = vocabulary.FewestTokens(grammar);
        if (fewest > resolved.MaxNewTokens)
            throw new ArgumentException($"The grammar's shortest answer takes {fewest} tokens, and GenerationOptions.MaxNewTokens is "
                + $"{resolved.MaxNewTokens}: raise it.");
    }
}
