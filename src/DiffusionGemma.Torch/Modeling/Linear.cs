using static TorchSharp.torch;

namespace DiffusionGemma;

/// <summary>A bias-free projection y = W x, plus the low-rank delta of the adapter for the pass, where one is set.</summary>
internal sealed class Linear(string name, StoredWeight weight)
{
    /// <summary>The module's name in the checkpoint, without ".weight".</summary>
    public string Name { get; } = name;

    /// <summary>[out, in].</summary>
    public StoredWeight Weight { get; } = weight;

    public LoraPair? EncoderLora { get; set; }

    public LoraPair? DecoderLora { get; set; }

    /// <summary>x [..., in] -> [..., out].</summary>
    public Tensor Forward(Tensor x, PassContext context) =>
        LinearFunction.Project(x, Weight, context, context.Pass == Pass.Encoder ? EncoderLora : DecoderLora);
}
