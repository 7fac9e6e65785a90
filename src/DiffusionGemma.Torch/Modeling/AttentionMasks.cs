using static TorchSharp.torch;

namespace DiffusionGemma;

/// <summary>
/// Attention masks, bool [B,1,Q,K] (true = seen), by positions and not by indices: rows may be padded on either side.
/// <code>
/// encoder, causal             encoder, sliding (window 2)    decoder (canvas of 2 after 4; window 3)
/// keys    0 1 2 3             keys    0 1 2 3                keys       0 1 2 3 | c0 c1
/// query 0 x . . .             query 0 x . . .                full    c0 x x x x | x  x
/// query 1 x x . .             query 1 x x . .                        c1 x x x x | x  x
/// query 2 x x x .             query 2 . x x .                sliding c0 . . x x | x  x     anchored to the canvas's start:
/// query 3 x x x x             query 3 . . x x                        c1 . . x x | x  x     the same for all its queries
/// </code>
/// </summary>
internal static class AttentionMasks
{
    /// <summary>Builds the encoder's mask: causal, and within the window on sliding layers.</summary>
    /// <param name="kind">The layer's attention.</param>
    /// <param name="window">Positions a sliding layer sees, its own included.</param>
    /// <param name="queryPositions">[B,Q].</param>
    /// <param name="keyPositions">[B,K], the queries' own last.</param>
    /// <param name="keyMask">[B,K], true = real token.</param>
    public static Tensor Encoder(AttentionKind kind, int window, Tensor queryPositions, Tensor keyPositions, Tensor keyMask)
    {
        using var scope = NewDisposeScope();
        Tensor queries = queryPositions.unsqueeze(-1), keys = keyPositions.unsqueeze(1);
        Tensor seen = (keys <= queries).bitwise_and(keyMask.unsqueeze(1));
        if (kind == AttentionKind.Sliding) seen = seen.bitwise_and(queries - keys < window);
        return seen.unsqueeze(1).MoveToOuterDisposeScope();
    }

    /// <summary>
    /// Builds the decoder's mask: real cached positions before the canvas (on sliding layers the last window - 1), and the whole canvas.
    /// </summary>
    /// <param name="kind">The layer's attention.</param>
    /// <param name="window">Positions a sliding layer sees.</param>
    /// <param name="starts">[B], the position of each row's canvas.</param>
    /// <param name="keyPositions">[B,K] of the cache.</param>
    /// <param name="keyMask">[B,K] of the cache.</param>
    /// <param name="canvasMask">[B,C], true = part of the row's canvas.</param>
    public static Tensor Decoder(AttentionKind kind, int window, Tensor starts, Tensor keyPositions, Tensor keyMask, Tensor canvasMask)
    {
        using var scope = NewDisposeScope();
        Tensor start = starts.unsqueeze(-1);
        Tensor cached = (keyPositions < start).bitwise_and(keyMask);
        if (kind == AttentionKind.Sliding) cached = cached.bitwise_and(keyPositions > start - window);
        Tensor seen = cat([cached, canvasMask], 1).unsqueeze(1).unsqueeze(1);
        return seen.expand(-1, 1, canvasMask.shape[1], -1).MoveToOuterDisposeScope();
    }
}
