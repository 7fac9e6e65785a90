namespace DiffusionGemma;

/// <summary>The resolved settings of packing.</summary>
/// <param name="CanvasLength">Tokens a canvas.</param>
/// <param name="EosId">What fills the last canvas.</param>
/// <param name="MaxLength">Tokens a row at most.</param>
/// <param name="PadMultiple">The padded length is a multiple of this and of the canvas length, where the maximum allows.</param>
/// <param name="Truncated">Treatment of rows whose answer is cut.</param>
internal sealed record PackingOptions(
    int CanvasLength, int EosId, int MaxLength, int PadMultiple, TruncatedRows Truncated = TruncatedRows.Keep)
{
    /// <summary>Reads canvas length and end token from the checkpoint.</summary>
    /// <exception cref="ArgumentException">The checkpoint names no end token.</exception>
    public static PackingOptions Load(
        string checkpoint, int maxLength, int? padMultiple = null, TruncatedRows truncated = TruncatedRows.Keep)
    {
        DiffusionGemmaConfig config = DiffusionGemmaConfig.Load(checkpoint);
        if (maxLength > config.MaxPositionEmbeddings)
        {
            throw new ArgumentOutOfRangeException(nameof(maxLength), maxLength,
                $"The checkpoint has {config.MaxPositionEmbeddings} positions: rows cannot be longer.");
        }
        int eosId = CheckpointText.Read(checkpoint).Tokenizer.Tokenizer.EosId
            ?? throw new ArgumentException($"The tokenizer of {checkpoint} names no eos_token, with which canvases are filled: add it to "
                + "tokenizer_config.json.", nameof(checkpoint));
        return new PackingOptions(config.CanvasLength, eosId, maxLength, padMultiple ?? config.CanvasLength, truncated);
    }
}
