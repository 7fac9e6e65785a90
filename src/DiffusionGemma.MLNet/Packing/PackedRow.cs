namespace DiffusionGemma;

/// <summary>A packed row.</summary>
internal sealed record PackedRow(int[] InputIds, bool[] LossMask, int CanvasCount, int PaddedLength, int CutTokens)
{
    public static PackedRow Pack(int[] ids, bool[] lossMask, PackingOptions options)
    {
        int prefix = Array.IndexOf(lossMask, true);
        int responseStart = prefix < 0 ? ids.Length : prefix;
        int cut = Math.Max(0, ids.Length - Math.Max(options.MaxLength, responseStart));
        TrainingExample? example = CanvasPacking.Pack(ids, lossMask, options.CanvasLength, options.MaxLength, options.EosId,
            options.PadMultiple);
        bool isDropped = cut > 0 && options.Truncated == TruncatedRows.Drop;
        return example is null || isDropped
            ? new PackedRow(ids, new bool[ids.Length], CanvasCount: 0, PaddedLength: 0, cut)
            : new PackedRow(example.InputIds, example.LossMask, example.CanvasCount(options.CanvasLength), example.PaddedLength, cut);
    }
}
