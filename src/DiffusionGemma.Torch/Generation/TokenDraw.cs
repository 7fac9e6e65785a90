using static TorchSharp.torch;

namespace DiffusionGemma;

/// <summary>Draws tokens on the device by inverse transform sampling: the first token whose cumulated probability exceeds a uniform
/// number.</summary>
internal static class TokenDraw
{
    /// <summary>Draws one token for each position.</summary>
    /// <param name="weights">[n,V], unnormalised probabilities.</param>
    /// <param name="uniforms">[n,1] float64, in [0,1).</param>
    /// <param name="topK">The number of most likely tokens to draw from; 0: all.</param>
    /// <param name="topP">The probability that the fewest most likely tokens must add up to; 1: all.</param>
    /// <returns>[n,2] float64: the token, and its probability among those that were drawn from.</returns>
    public static Tensor Draw(Tensor weights, Tensor uniforms, int topK, double topP)
    {
        using var scope = NewDisposeScope();
        Tensor? ids = null;
        if (topK > 0 && topK < weights.shape[1] || topP < 1) (weights, ids) = Nucleus(weights, topK, topP);
        Tensor cumulated = weights.cumsum(-1, ScalarType.Float64), total = cumulated.narrow(-1, cumulated.shape[1] - 1, 1);
        Tensor index = (cumulated <= uniforms * total).sum(-1, keepdim: true).clamp_max(weights.shape[1] - 1);
        Tensor likely = weights.gather(-1, index).to(ScalarType.Float64) / total, token = ids?.gather(-1, index) ?? index;
        return cat([token.to(ScalarType.Float64), likely], 1).MoveToOuterDisposeScope();
    }

    /// <summary>
    /// Sorts tokens by weight, descending, with weight 0 for those outside the nucleus; returns the weights and the tokens' ids.
    /// </summary>
    private static (Tensor Weights, Tensor Ids) Nucleus(Tensor weights, int topK, double topP)
    {
        (Tensor sorted, Tensor ids) = topK > 0 && topK < weights.shape[1] ? weights.topk(topK, -1) : weights.sort(-1, descending: true);
        if (topP >= 1) return (sorted, ids);
        Tensor cumulated = sorted.cumsum(-1, ScalarType.Float64), total = cumulated.narrow(-1, cumulated.shape[1] - 1, 1);
        return (sorted.masked_fill(cumulated - sorted >= total * topP, 0), ids);
    }
}
