using TorchSharp;
using static TorchSharp.torch;

namespace DiffusionGemma;

/// <summary>
/// Attention by the fused kernels that libtorch has for GPUs. Where none takes the operands, libtorch computes all scores in memory.
/// <code>
///                      mask    fewer key heads than query heads    head dimension
/// flash                no      yes                                 at most 256
/// memory-efficient     yes     no                                  any multiple of 8
/// cuDNN                yes     yes                                 128, or 256 on compute capability 9
/// </code>
/// </summary>
internal static class FusedAttention
{
    private const long FlashHeadDim = 256;

    /// <summary>
    /// Returns true where keys and values must be repeated, one head for each of the queries', for a fused kernel to take them: in
    /// bfloat16, in which speed counts. In float32, of which accuracy is asked, all scores are computed.
    /// </summary>
    /// <param name="q">[B,h,Q,D].</param>
    /// <param name="keyHeads">Heads of keys and values.</param>
    /// <param name="isMasked">True where there is a mask.</param>
    public static bool NeedsEqualHeads(Tensor q, long keyHeads, bool isMasked) =>
        NeedsEqualHeads(q.device_type, q.dtype, q.shape[1], keyHeads, q.shape[3], isMasked);

    /// <inheritdoc cref="NeedsEqualHeads(Tensor, long, bool)"/>
    internal static bool NeedsEqualHeads(DeviceType device, ScalarType dtype, long heads, long keyHeads, long headDim, bool isMasked) =>
        device == DeviceType.CUDA && dtype == ScalarType.BFloat16 && heads != keyHeads && (isMasked || headDim > FlashHeadDim);

    /// <summary>Repeats heads: [B,kv,K,D] -> [B,kv · times,K,D], each one <paramref name="times"/> times in turn.</summary>
    public static Tensor RepeatHeads(Tensor x, long times)
    {
        using var scope = NewDisposeScope();
        return x.unsqueeze(2).expand(-1, -1, times, -1, -1).reshape(x.shape[0], x.shape[1] * times, x.shape[2], x.shape[3])
            .MoveToOuterDisposeScope();
    }

    /// <summary>Names the kernel that libtorch chooses; arguments as of <see cref="TorchOperators.Attention"/>.</summary>
    public static string NameOf(Tensor q, Tensor k, Tensor v, Tensor? mask, double scale) =>
        TorchOperators.AttentionKernel(q, k, v, mask, scale) switch
        {
            0 => "none: all scores in memory",
            1 => "flash",
            2 => "memory-efficient",
            3 => "cuDNN",
            var other => $"number {other}",
        };
}
