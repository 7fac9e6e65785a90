using TorchSharp;
using static TorchSharp.torch;

namespace DiffusionGemma;

/// <summary>Mixes what the decoder predicted before into the canvas' embeddings. Runs in every decoder pass: its post norm alone changes them.</summary>
internal sealed class SelfConditioning(Tensor preNorm, GatedMlp mlp, double epsilon)
{
    public IEnumerable<Linear> Linears => mlp.Linears;

    /// <summary>post_norm(embeddings + mlp(pre_norm(soft))), the post norm unscaled.</summary>
    /// <param name="embeddings">[B,C,H].</param>
    /// <param name="soft">Expected embeddings under the earlier prediction [B,C,H], zero where there is none; null = zeros everywhere, whose
    /// path through norm and mlp gives exactly zero.</param>
    public Tensor Forward(Tensor embeddings, Tensor? soft)
    {
        Tensor mixed = soft is null ? embeddings : embeddings + mlp.Forward(TorchOperators.RmsNorm(soft, preNorm, epsilon), Pass.Decoder);
        return TorchOperators.RmsNorm(mixed, null, epsilon);
    }
}
