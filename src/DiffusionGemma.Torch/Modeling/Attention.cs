using static TorchSharp.torch;

namespace DiffusionGemma;

/// <summary>
/// Self-attention of one layer. Queries and keys are normed per head and rotated, so the scores' scale is 1; full-attention layers have no
/// value projection: their values are the raw keys, normed.
/// </summary>
internal sealed class Attention(
    LayerShape shape, int heads, int? window, Linear query, Linear key, Linear? value, Linear output, Tensor queryNorm, Tensor keyNorm,
    double epsilon)
{
    /// <summary>Queries of one block of a causal pass.</summary>
    public const long QueryBlock = 128;

    /// <summary>Queries of one block of a causal pass over a denoising batch; blocks begin at positions that are multiples of it.</summary>
    public const int PositionBlock = 64;

    public IEnumerable<Linear> Linears => value is null ? [query, key, output] : [query, key, value, output];

    /// <summary>Attends to the past and to x itself; returns the output [B,S,H], and x's keys and values, [B,kv,S,D] each.</summary>
    /// <param name="x">[B,S,H], normed.</param>
    /// <param name="past">The layer's cache of earlier positions, or null.</param>
    /// <param name="angles">The rotation of x's positions.</param>
    /// <param name="mask">[B,1,S,past+S], true = may be seen; null: all is.</param>
    /// <param name="context">The pass.</param>
    public (Tensor Output, KeyValues Fresh) Forward(
        Tensor x, ILayerCache? past, (Tensor Cos, Tensor Sin) angles, Tensor? mask, PassContext context)
    {
        using var scope = NewDisposeScope();
        KeyValues fresh = KeysAndValues(x, angles, context);
        Tensor q = RotaryEmbedding.Rotate(NormedHeads(query.Forward(x, context), heads, queryNorm, context), angles, context);
        KeyValues seen = past is null ? fresh : context.Pass == Pass.Encoder ? past.Append(fresh) : past.Join(fresh);
        if (FusedAttention.NeedsEqualHeads(q, shape.KeyValueHeads, mask is not null)) seen = seen.Repeated(heads / shape.KeyValueHeads);
        Tensor attended = past is null && context.Pass == Pass.Encoder && mask is not null ? Causal(q, seen, mask)
            : context.IsBatchInvariant && past?.PartsOf(context.Pass) is { } parts ? InParts(q, seen, mask, parts)
            : TorchOperators.Attention(q, seen.Keys, seen.Values, mask, scale: 1.0);
        Tensor result = output.Forward(attended.transpose(1, 2).reshape(x.shape[0], x.shape[1], -1), context);
        fresh.Keys.MoveToOuterDisposeScope();
        fresh.Values.MoveToOuterDisposeScope();
        return (result.MoveToOuterDisposeScope(), fresh);
    }

    /// <summary>Computes x's own keys and values, [B,kv,S,D] each.</summary>
    public KeyValues KeysAndValues(Tensor x, (Tensor Cos, Tensor Sin) angles, PassContext context)
    {
        Tensor rawKeys = key.Forward(x, context), rawValues = value is null ? rawKeys : value.Forward(x, context);
        return new KeyValues(
            RotaryEmbedding.Rotate(NormedHeads(rawKeys, shape.KeyValueHeads, keyNorm, context), angles, context),
            NormedHeads(rawValues, shape.KeyValueHeads, null, context));
    }

    /// <summary>
    /// Attends block by block of queries, each to the keys that it may see: none after it, and on sliding layers none before the window.
    /// Positions of a row are consecutive, whatever its padding on either side, so a distance between indices is a distance between
    /// positions.
    /// <code>
    /// window 2, blocks of 2     keys  0 1 2 3 4 5
    /// queries 0 1                     x x . . . .
    /// queries 2 3                     . x x x . .      . is not computed
    /// queries 4 5                     . . . x x x
    /// </code>
    /// </summary>
    private Tensor Causal(Tensor q, KeyValues seen, Tensor mask)
    {
        long length = q.shape[2];
        if (length <= QueryBlock) return TorchOperators.Attention(q, seen.Keys, seen.Values, mask, scale: 1.0);
        var blocks = new List<Tensor>();
        for (long start = 0; start < length; start += QueryBlock)
        {
            long count = Math.Min(QueryBlock, length - start), from = window is null ? 0 : Math.Max(0, start - window.Value + 1);
            long keys = start + count - from;
            Tensor blockMask = mask.narrow(2, start, count).narrow(3, from, keys);
            blocks.Add(TorchOperators.Attention(
                q.narrow(2, start, count), seen.Keys.narrow(2, from, keys), seen.Values.narrow(2, from, keys), blockMask, scale: 1.0));
        }
        return cat(blocks, 2);
    }

    /// <summary>Attends part by part; queries that belong to none, those of padding, attend to nothing and are zero.</summary>
    private static Tensor InParts(Tensor q, KeyValues seen, Tensor? mask, IReadOnlyList<AttentionPart> parts)
    {
        if (parts is [{ FirstKey: 0 } all] && all.Rows == q.shape[0] && all.Queries == q.shape[2] && all.Keys == seen.Keys.shape[2])
            return TorchOperators.Attention(q, seen.Keys, seen.Values, mask, scale: 1.0);
        // As libtorch lays out its own result, so that heads are joined without a copy.
        Tensor attended = zeros([q.shape[0], q.shape[2], q.shape[1], q.shape[3]], dtype: q.dtype, device: q.device).transpose(1, 2);
        foreach (AttentionPart part in parts)
        {
            using var scope = NewDisposeScope();
            Tensor Queries(Tensor all) => all.narrow(0, part.FirstRow, part.Rows).narrow(2, part.FirstQuery, part.Queries);
            Tensor Keys(Tensor all) => all.narrow(0, part.FirstRow, part.Rows).narrow(2, part.FirstKey, part.Keys);
            Tensor? partMask = mask?.narrow(2, part.FirstQuery, part.Queries).narrow(3, part.FirstKey, part.Keys);
            Queries(attended).copy_(
                TorchOperators.Attention(Queries(q), Keys(seen.Keys), Keys(seen.Values), partMask, scale: 1.0));
        }
        return attended;
    }

    /// <summary>Splits [B,S,count·D] into heads [B,count,S,D], and norms each.</summary>
    private Tensor NormedHeads(Tensor projected, long count, Tensor? weight, PassContext context) =>
        RmsNorm.Normalize(projected.view(projected.shape[0], projected.shape[1], count, shape.HeadDim), weight, epsilon, context)
            .transpose(1, 2);
}
