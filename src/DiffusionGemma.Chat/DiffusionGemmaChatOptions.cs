namespace DiffusionGemma;

/// <summary>How a <see cref="DiffusionGemmaChatClient"/> answers where a request does not say.</summary>
public sealed record DiffusionGemmaChatOptions
{
    /// <summary>The name that responses and telemetry give the model. Null: the checkpoint folder's.</summary>
    public string? ModelId { get; init; }

    /// <summary>For every request, below what the request itself asks for; null entries: the checkpoint folder's.</summary>
    public GenerationOptions? Generation { get; init; }

    /// <summary>Requests that are denoised together at most; others wait. 8.</summary>
    public int BatchSize { get; init; } = 8;

    /// <summary>
    /// Whether a stream also has an update after every denoising step: one without contents, whose <c>RawRepresentation</c> is the
    /// <see cref="DraftUpdate"/>. False: a stream has committed text only.
    /// </summary>
    public bool StreamDrafts { get; init; }

    /// <summary>
    /// Whether the text of a special token in messages, tool results and the like is read as ordinary text (<see cref="ChatTokenizerOptions.EscapeSpecialTokens"/>).
    /// False: as in transformers, it becomes the control token. Used where the client reads the tokenizer itself.
    /// </summary>
    public bool EscapeSpecialTokens { get; init; }
}
