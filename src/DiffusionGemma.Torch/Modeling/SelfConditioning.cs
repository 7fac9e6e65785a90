using static TorchSharp.torch;

namespace DiffusionGemma;

/// <summary>
/// Mixes an earlier prediction into the canvas's embeddings: post_norm(embeddings + mlp(pre_norm(expected))), the post norm without weight.
/// Runs in every decoder pass, since the post norm alone changes the embeddings.
/// </summary>
internal sealed class SelfConditioning(Tensor preNorm, GatedMlp mlp, double epsilon)
{
    public IEnumerable<Linear> Linears => mlp.Linears;

    /// <summary>Returns the conditioned embeddings [B,C,H].</summary>
    /// <param name="embeddings">[B,C,H].</param>
    /// <param name="conditioning">The earlier prediction; null: none. (Expected embeddings of zero give the same: norm and mlp map zero to
    /// exactly zero.)</param>
    /// <param name="context">The decoder pass.</param>
    public Tensor Forward(Tensor embeddings, Conditioning? conditioning, PassContext context)
    {
        if (conditioning is null) return RmsNorm.Normalize(embeddings, null, epsilon, context);
        Tensor mixedIn = mlp.Forward(RmsNorm.Normalize(conditioning.Embeddings, preNorm, epsilon, context), context);
        Tensor mixed = conditioning.Rows is null ? embeddings + mixedIn : embeddings.index_add(0, conditioning.Rows, mixedIn, 1);
        return RmsNorm.Normalize(mixed, null, epsilon, context);
    }
}
