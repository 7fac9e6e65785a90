using TorchSharp;
using static TorchSharp.torch;

namespace DiffusionGemma;

/// <summary>Mixes what the decoder predicted before into the canvas' embeddings. Runs in every decoder pass: its post norm alone changes them.</summary>
internal sealed class SelfConditioning(Tensor preNorm, GatedMlp mlp, double epsilon)
{
    public IEnumerable<Linear> Linears => mlp.Linears;

    /// <summary>post_norm(embeddings + mlp(pre_norm(soft))), the post norm unscaled.</summary>
    /// <param name="embeddings">[B,C,H].</param>
    /// <param name="soft">Expected embeddings under the earlier prediction [n,C,H]; null: of no row. (Where there was no prediction they would be
    /// zeros, whose path through norm and mlp gives exactly zero.)</param>
    /// <param name="rows">[n], the rows that <paramref name="soft"/> is of; null: all.</param>
    /// <param name="context">The decoder pass.</param>
    public Tensor Forward(Tensor embeddings, Tensor? soft, Tensor? rows, PassContext context)
    {
        Tensor? mixedIn = soft is null ? null : mlp.Forward(RmsNorm.Normalize(soft, preNorm, epsilon, context), context);
        Tensor mixed = mixedIn is null ? embeddings : rows is null ? embeddings + mixedIn : embeddings.index_add(0, rows, mixedIn, 1);
        return RmsNorm.Normalize(mixed, null, epsilon, context);
    }
}
