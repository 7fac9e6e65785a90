using static TorchSharp.torch;

namespace DiffusionGemma;

/// <summary>
/// Sums in the order of ranks: the same bits on every engine and however a tensor is split. Bfloat16 is summed in float32 and rounded once.
/// </summary>
internal static class RankSum
{
    /// <summary>
    /// Elements summed at a time: the sum stays in the core's own cache, and an operator's fixed cost is small beside it.
    /// </summary>
    private const long BlockElements = 1 << 16;

    /// <summary>Writes the sum of all inputs to each of <paramref name="outputs"/>.</summary>
    /// <param name="outputs">[n] each; may be among the inputs.</param>
    /// <param name="inputs">[n] each, of one dtype, by rank.</param>
    public static void WriteTo(Tensor[] outputs, Tensor[] inputs)
    {
        long all = inputs[0].numel();
        ScalarType dtype = inputs[0].dtype == ScalarType.BFloat16 ? ScalarType.Float32 : inputs[0].dtype;
        Tensor buffer = empty(Math.Min(all, BlockElements), dtype: dtype, device: inputs[0].device);
        for (long start = 0; start < all; start += BlockElements)
        {
            using var scope = NewDisposeScope();
            long count = Math.Min(BlockElements, all - start);
            Tensor sum = buffer.narrow(0, 0, count);
            sum.copy_(inputs[0].narrow(0, start, count));
            foreach (Tensor input in inputs[1..]) sum.add_(input.narrow(0, start, count));
            foreach (Tensor output in outputs) output.narrow(0, start, count).copy_(sum);
        }
    }
}
