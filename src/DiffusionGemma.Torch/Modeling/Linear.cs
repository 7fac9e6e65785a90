using TorchSharp;
using static TorchSharp.torch;

namespace DiffusionGemma;

/// <summary>Which of the two passes over the one stack is running; an adapter may hold different values for each.</summary>
internal enum Pass
{
    /// <summary>Causal, over clean tokens.</summary>
    Encoder,

    /// <summary>Bidirectional, over the noised canvas.</summary>
    Decoder,
}

/// <summary>A bias-free projection y = W x, plus the low-rank delta of the adapter for the pass, where one is set.</summary>
internal sealed class Linear(string name, Tensor weight)
{
    /// <summary>The module's name in the checkpoint, without ".weight".</summary>
    public string Name { get; } = name;

    /// <summary>[out, in].</summary>
    public Tensor Weight { get; } = weight;

    public LoraPair? EncoderLora { get; set; }

    public LoraPair? DecoderLora { get; set; }

    /// <summary>x [..., in] -> [..., out].</summary>
    public Tensor Forward(Tensor x, Pass pass) => LinearFunction.Of(x, Weight, pass == Pass.Encoder ? EncoderLora : DecoderLora);
}
