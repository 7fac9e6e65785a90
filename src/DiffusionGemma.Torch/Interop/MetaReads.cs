using static TorchSharp.torch;

namespace DiffusionGemma;

/// <summary>
/// Answers for the device <c>meta</c>, whose tensors have a shape and no values: an even split, every position, zeros. A pass runs with
/// these through every operator and every shape of a model of any size, and allocates nothing.
/// </summary>
internal sealed class MetaReads : IHostReads
{
    public long[] CountsOf(Tensor ids, long classes)
    {
        long count = ids.numel();
        var counts = new long[classes];
        for (long n = 0; n < classes; n++) counts[n] = count * (n + 1) / classes - count * n / classes;
        return counts;
    }

    public Tensor IndicesOf(Tensor mask) => arange(mask.numel(), dtype: ScalarType.Int64, device: mask.device);

    public double[] Numbers(Tensor values) => new double[values.numel()];

    public Tensor OnHost(Tensor values) => zeros(values.shape, dtype: values.dtype, device: CPU);
}
