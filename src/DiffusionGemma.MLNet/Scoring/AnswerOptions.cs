namespace DiffusionGemma;

/// <summary>What scoring does with a row that cannot be answered.</summary>
public enum RowFailure
{
    /// <summary>Ends the pass over the data with a <see cref="ChatDataException"/> that names the row, once the rows before it are handed out.</summary>
    Throw,

    /// <summary>Gives the row an empty answer, and the reason in the column <see cref="ChatColumns.ResponseError"/>; the other rows are answered.</summary>
    EmptyAnswer,
}

/// <summary>How a model answers rows.</summary>
public sealed record AnswerOptions
{
    /// <summary>How an answer is denoised; null entries: as the checkpoint's generation_config.json says.</summary>
    public GenerationOptions Generation { get; init; } = new();

    /// <summary>Prompts that are denoised together; when one is answered, another takes its place.</summary>
    public int BatchSize { get; init; } = 8;

    /// <summary>
    /// Rows that a cursor reads ahead, in batches: among so many, places in the batch are filled as they fall free, and rows are handed out in
    /// their order. 1: a batch waits for its slowest row.
    /// </summary>
    public int BatchesAhead { get; init; } = 4;

    /// <summary>
    /// What becomes of a row that cannot be answered: a conversation that cannot be tokenized, no prompt, one too long for the model, or predictions
    /// that are no numbers. Rows that are no conversations are left out where they are loaded (<see cref="ChatDataOptions.MaxErrors"/>).
    /// </summary>
    public RowFailure OnFailure { get; init; } = RowFailure.Throw;

    /// <summary>
    /// Ends a pass over the data with <see cref="OperationCanceledException"/>; looked at before every pass of the decoder, whatever
    /// <see cref="GenerationOptions.ReturnOnCancellation"/> says: half a batch would pass for whole. Not saved with a model.
    /// </summary>
    public CancellationToken Cancellation { get; init; }

    internal bool GivesErrors => OnFailure == RowFailure.EmptyAnswer;

    /// <exception cref="ArgumentOutOfRangeException">An option is out of range.</exception>
    /// <exception cref="InvalidDataException">The checkpoint's generation_config.json cannot be honoured.</exception>
    internal void Validate(string checkpoint)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(BatchSize, 1);
        ArgumentOutOfRangeException.ThrowIfLessThan(BatchesAhead, 1);
        if (!Enum.IsDefined(OnFailure)) throw new ArgumentOutOfRangeException(nameof(OnFailure), OnFailure, "AnswerOptions.OnFailure must be one of the named ways.");
        ResolvedGenerationOptions.Resolve(Generation, checkpoint, DiffusionGemmaConfig.Load(checkpoint));
    }
}
