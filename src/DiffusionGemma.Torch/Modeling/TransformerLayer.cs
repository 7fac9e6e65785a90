using TorchSharp;
using static TorchSharp.torch;

namespace DiffusionGemma;

/// <summary>One layer of the stack: attention, then a dense feed-forward and the experts side by side, each between norms of its own.</summary>
internal sealed class TransformerLayer(LayerShape shape, Attention attention, GatedMlp mlp, Router router, Experts experts, LayerNorms norms, double epsilon)
{
    public LayerShape Shape => shape;

    public IEnumerable<Linear> Linears => [.. attention.Linears, .. mlp.Linears];

    public Experts Experts => experts;

    /// <summary>x [B,S,H] -> [B,S,H], and the fresh keys and values.</summary>
    /// <param name="x">[B,S,H].</param>
    /// <param name="past">Keys and values of earlier positions, or null.</param>
    /// <param name="angles">The rotation of x's positions.</param>
    /// <param name="mask">[B,1,S,past+S], true = may be seen; null: all is.</param>
    /// <param name="pass">Encoder or decoder: each has a layer scalar, and may have an adapter, of its own.</param>
    /// <param name="real">Which of the B·S tokens are no padding, [n] int64; null: all. The others are routed to no expert.</param>
    public (Tensor Hidden, KeyValues Fresh) Forward(
        Tensor x, KeyValues? past, (Tensor Cos, Tensor Sin) angles, Tensor? mask, Pass pass, Tensor? real = null)
    {
        Tensor Norm(Tensor y, Tensor weight) => RmsNorm.Of(y, weight, epsilon);

        (Tensor attended, KeyValues fresh) = attention.Forward(Norm(x, norms.Input), past, angles, mask, pass);
        Tensor residual = x + Norm(attended, norms.PostAttention);
        Tensor dense = Norm(mlp.Forward(Norm(residual, norms.PreFeedForward), pass), norms.PostFeedForward1);

        Tensor sum = dense + Norm(Chosen(residual, pass, real), norms.PostFeedForward2);
        return ((residual + Norm(sum, norms.PostFeedForward)) * (pass == Pass.Encoder ? norms.EncoderScalar : norms.DecoderScalar), fresh);
    }

    /// <summary>What the experts make of a residual.</summary>
    private Tensor Chosen(Tensor residual, Pass pass, Tensor? real)
    {
        using var scope = NewDisposeScope();
        Tensor tokens = residual.view(-1, residual.shape[^1]), routed = real is null ? tokens : tokens.index_select(0, real);
        (Tensor weights, Tensor indices) = router.Forward(routed);                             // on the raw residual
        Tensor chosen = experts.Forward(RmsNorm.Of(routed, norms.PreFeedForward2, epsilon), weights, indices, pass);
        if (real is not null) chosen = zeros_like(tokens).index_copy(0, real, chosen);
        return chosen.view(residual.shape).MoveToOuterDisposeScope();
    }

    /// <summary>Appends x's keys and values to a cache, and no more.</summary>
    public void Remember(Tensor x, KeyValues? past, (Tensor Cos, Tensor Sin) angles, Pass pass) =>
        past?.Append(attention.KeysAndValues(RmsNorm.Of(x, norms.Input, epsilon), angles, pass));
}

/// <summary>A layer's seven norm weights [H] and its two scalars [1], one a pass.</summary>
internal sealed record LayerNorms(
    Tensor Input, Tensor PostAttention, Tensor PreFeedForward, Tensor PreFeedForward2, Tensor PostFeedForward, Tensor PostFeedForward1,
    Tensor PostFeedForward2, Tensor EncoderScalar, Tensor DecoderScalar);
