namespace DiffusionGemma;

/// <summary>Keys and values that one layer holds of earlier tokens.</summary>
internal interface ILayerCache
{
    /// <summary>Appends the keys and values of an encoder pass's tokens to the cache.</summary>
    /// <param name="fresh">[B,kv,S,D] each.</param>
    /// <returns>Keys and values that those tokens may attend to, their own last: [B,kv,past+S,D] each.</returns>
    KeyValues Append(KeyValues fresh);

    /// <summary>Joins the cached keys and values with those of a decoder pass's canvas, which are not kept.</summary>
    /// <param name="canvas">[B,kv,C,D] each.</param>
    /// <returns>Both, in the order that the cache's mask is made for: [B,kv,past+C,D] each.</returns>
    KeyValues Join(KeyValues canvas);

    /// <summary>
    /// Returns the parts in which a pass attends, so that what comes of a row depends neither on the lengths of the rows beside it nor on
    /// the passes that its earlier tokens were encoded in; null: all at once, under the pass's mask.
    /// </summary>
    /// <param name="pass">The encoder's pass, whose keys were appended, or the decoder's.</param>
    IReadOnlyList<AttentionPart>? PartsOf(Pass pass) => null;
}
