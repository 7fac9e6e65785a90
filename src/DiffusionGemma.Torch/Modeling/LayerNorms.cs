using static TorchSharp.torch;

namespace DiffusionGemma;

/// <summary>A layer's seven norm weights [H], and its two scalars [1], one a pass.</summary>
internal sealed record LayerNorms(
    Tensor Input, Tensor PostAttention, Tensor PreFeedForward, Tensor PreFeedForward2, Tensor PostFeedForward, Tensor PostFeedForward1,
    Tensor PostFeedForward2, Tensor EncoderScalar, Tensor DecoderScalar);
