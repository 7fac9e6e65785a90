namespace DiffusionGemma;

/// <summary>Numbers that packing needs, all of them decided.</summary>
/// <param name="CanvasLength">Tokens a canvas.</param>
/// <param name="EosId">What fills the last canvas.</param>
/// <param name="MaxLength">Tokens a row at most.</param>
/// <param name="PadMultiple">The padded length is a multiple of this and of the canvas length, where the maximum allows.</param>
internal sealed record PackingOptions(int CanvasLength, int EosId, int MaxLength, int PadMultiple)
{
    /// <summary>With the checkpoint's canvas length and end token.</summary>
    /// <exception cref="ArgumentException">The checkpoint names no end token.</exception>
    public static PackingOptions For(string checkpoint, int maxLength, int? padMultiple = null)
    {
        int canvasLength = DiffusionGemmaConfig.Load(checkpoint).CanvasLength;
        int eosId = CheckpointText.Read(checkpoint).Tokenizer.Tokenizer.EosId
            ?? throw new ArgumentException($"The tokenizer of {checkpoint} names no eos_token, with which canvases are filled: add it to tokenizer_config.json.", nameof(checkpoint));
        return new PackingOptions(canvasLength, eosId, maxLength, padMultiple ?? canvasLength);
    }
}

/// <summary>A row as packing leaves it.</summary>
internal sealed record PackedRow(int[] InputIds, bool[] LossMask, int CanvasCount, int PaddedLength, int CutTokens)
{
    public static PackedRow Pack(int[] ids, bool[] lossMask, PackingOptions options)
    {
        int prefix = Array.IndexOf(lossMask, true);
        int responseStart = prefix < 0 ? ids.Length : prefix;
        int cut = Math.Max(0, ids.Length - Math.Max(options.MaxLength, responseStart));
        TrainingExample? example = CanvasPacking.Pack(ids, lossMask, options.CanvasLength, options.MaxLength, options.EosId, options.PadMultiple);
        return example is null
            ? new PackedRow(ids, new bool[ids.Length], CanvasCount: 0, PaddedLength: 0, cut)
            : new PackedRow(example.InputIds, example.LossMask, example.CanvasCount(options.CanvasLength), example.PaddedLength, cut);
    }
}
