using static TorchSharp.torch;

namespace DiffusionGemma;

/// <summary>
/// One layer of the stack: attention, then a dense feed-forward and the experts in parallel, each with norms before and after it.
/// </summary>
internal sealed class TransformerLayer(
    LayerShape shape, Attention attention, GatedMlp mlp, Router router, Experts experts, LayerNorms norms, double epsilon)
{
    public LayerShape Shape => shape;

    public IEnumerable<Linear> Linears => [.. attention.Linears, .. mlp.Linears];

    public Experts Experts => experts;

    public Router Router => router;

    /// <summary>Maps x [B,S,H] to [B,S,H]; also returns x's keys and values.</summary>
    /// <param name="x">[B,S,H].</param>
    /// <param name="past">The layer's cache of earlier positions, or null.</param>
    /// <param name="angles">The rotation of x's positions.</param>
    /// <param name="mask">[B,1,S,past+S], true = may be seen; null: all is.</param>
    /// <param name="context">The pass: encoder and decoder each have a layer scalar, and may have an adapter, of their own.</param>
    /// <param name="real">[n] int64: the tokens among B·S that are no padding; null: all. The others are routed to no expert.</param>
    public (Tensor Hidden, KeyValues Fresh) Forward(
        Tensor x, ILayerCache? past, (Tensor Cos, Tensor Sin) angles, Tensor? mask, PassContext context, Tensor? real = null)
    {
        Tensor Norm(Tensor y, Tensor weight) => RmsNorm.Normalize(y, weight, epsilon, context);

        (Tensor attended, KeyValues fresh) = attention.Forward(Norm(x, norms.Input), past, angles, mask, context);
        Tensor residual = x + Norm(attended, norms.PostAttention);
        Tensor dense = Norm(mlp.Forward(Norm(residual, norms.PreFeedForward), context), norms.PostFeedForward1);

        Tensor sum = dense + Norm(ExpertOutput(residual, context, real), norms.PostFeedForward2);
        return (
            (residual + Norm(sum, norms.PostFeedForward)) * (context.Pass == Pass.Encoder ? norms.EncoderScalar : norms.DecoderScalar),
            fresh);
    }

    /// <summary>Routes the tokens of a residual, and sums the outputs of each token's experts.</summary>
    private Tensor ExpertOutput(Tensor residual, PassContext context, Tensor? real)
    {
        using var scope = NewDisposeScope();
        Tensor tokens = residual.view(-1, residual.shape[^1]), routed = real is null ? tokens : TorchOperators.SelectRows(tokens, real);
        (Tensor weights, Tensor indices) = router.Forward(routed, context);                    // on the raw residual
        Tensor output = experts.Forward(RmsNorm.Normalize(routed, norms.PreFeedForward2, epsilon, context), weights, indices, context);
        if (real is not null) output = zeros_like(tokens).index_copy(0, real, output);
        return output.view(residual.shape).MoveToOuterDisposeScope();
    }

    /// <summary>Appends x's keys and values to a cache, and computes nothing else.</summary>
    public void AppendKeysAndValues(Tensor x, ILayerCache? past, (Tensor Cos, Tensor Sin) angles, PassContext context) =>
        past?.Append(attention.KeysAndValues(RmsNorm.Normalize(x, norms.Input, epsilon, context), angles, context));
}
