namespace DiffusionGemma;

/// <summary>
/// Pads a response to whole canvases, counted from the start of the response.
/// <code>
/// canvas 4, maximum 16      p = prompt, r = response, E = EOS fill, . = padding (not stored)
/// before  ids   p p p p p r r r r r
///         mask  0 0 0 0 0 1 1 1 1 1
/// after   ids   p p p p p r r r r r E E E . . .
///         mask  0 0 0 0 0 1 1 1 1 1 1 1 1
///                         |canvas 0|canvas 1|
/// </code>
/// The fill is supervised and attended: the model must learn to end a canvas. Aligning it to the absolute length instead of the
/// response's start would shift the canvas grid.
/// </summary>
public static class CanvasPacking
{
    /// <summary>Cuts a row at <paramref name="maxLength"/> and packs it.</summary>
    /// <param name="ids">[N] token ids of the whole row.</param>
    /// <param name="lossMask">[N], true = supervised; the last turn only.</param>
    /// <param name="canvasLength">Tokens a canvas.</param>
    /// <param name="maxLength">The most tokens of a packed row; there the last canvas is shorter.</param>
    /// <param name="eosId">The token that fills canvases.</param>
    /// <param name="padMultiple">The padded length is a multiple of this and of the canvas length, where the maximum allows; null: the
    /// canvas length.</param>
    /// <returns>The packed row; null when the cut leaves no supervised token.</returns>
    /// <exception cref="ArgumentException">Lengths differ, or a number is not positive.</exception>
    public static TrainingExample? Pack(
        ReadOnlySpan<int> ids, ReadOnlySpan<bool> lossMask, int canvasLength, int maxLength, int eosId, int? padMultiple = null)
    {
        if (ids.Length != lossMask.Length)
            throw new ArgumentException($"{ids.Length} ids but {lossMask.Length} mask values.", nameof(lossMask));
        ArgumentOutOfRangeException.ThrowIfLessThan(canvasLength, 1);
        ArgumentOutOfRangeException.ThrowIfLessThan(maxLength, 1);
        ArgumentOutOfRangeException.ThrowIfLessThan(padMultiple ?? 1, 1);

        int kept = Math.Min(ids.Length, maxLength);
        int prefix = lossMask[..kept].IndexOf(true);
        if (prefix < 0) return null;

        int end = (int)Math.Min(prefix + RoundUp(kept - prefix, canvasLength), maxLength);
        var packedIds = new int[end];
        var packedMask = new bool[end];
        ids[..kept].CopyTo(packedIds);
        lossMask[..kept].CopyTo(packedMask);
        packedIds.AsSpan(kept).Fill(eosId);
        packedMask.AsSpan(kept).Fill(true);
        long padded = Math.Min(RoundUp(end, LeastCommonMultiple(canvasLength, padMultiple ?? canvasLength)), maxLength);
        return new TrainingExample(packedIds, packedMask, prefix, (int)padded);
    }

    private static long RoundUp(long value, long multiple) => (value + multiple - 1) / multiple * multiple;

    private static long LeastCommonMultiple(long a, long b)
    {
        long x = a, y = b;
        while (y != 0) (x, y) = (y, x % y);
        return a / x * b;
    }
}
