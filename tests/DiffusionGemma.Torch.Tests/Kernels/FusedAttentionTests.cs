using TorchSharp;
using static TorchSharp.torch;

namespace DiffusionGemma;

/// <summary>Attention with repeated heads, the form of GPUs, against that with grouped ones, in float64: 1e-12 of the values.</summary>
public class FusedAttentionTests : TorchTest
{
    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void Repeated_heads_are_grouped_heads(bool masked)
    {
        using var generator = new Generator(3, CPU);
        Tensor Draw(params long[] shape) => randn(shape, ScalarType.Float64, generator: generator).to(TestDevice.Current)
            .requires_grad_(true);
        (Tensor q, Tensor k, Tensor v) = (Draw(2, 6, 5, 8), Draw(2, 3, 7, 8), Draw(2, 3, 7, 8));
        Tensor? mask = masked ? ones([1, 1, 5, 7], ScalarType.Bool, TestDevice.Current).tril(2) : null;
        Tensor[] grouped = Values(TorchOperators.Attention(q, k, v, mask, 0.5));
        KeyValues repeated = new KeyValues(k, v).Repeated(2);
        Assert.Equal([2, 6, 7, 8], repeated.Keys.shape);
        Tensor[] same = Values(TorchOperators.Attention(q, repeated.Keys, repeated.Values, mask, 0.5));
        foreach ((Tensor got, Tensor want) in same.Zip(grouped)) Assert.InRange(Largest(got, want), 0, 1e-12);

        Tensor[] Values(Tensor output)
        {
            output.square().sum().backward();
            Tensor[] gradients = [.. new[] { q, k, v }.Select(x => x.grad!.clone())];
            foreach (Tensor x in new[] { q, k, v }) x.grad!.zero_();
            return [output, .. gradients];
        }
    }

    /// <summary>The table of what libtorch's kernels take.</summary>
    [Theory]
    [InlineData(DeviceType.CUDA, ScalarType.BFloat16, 16, 8, 256, false, false)]                    // flash
    [InlineData(DeviceType.CUDA, ScalarType.BFloat16, 16, 8, 256, true, true)]
    [InlineData(DeviceType.CUDA, ScalarType.BFloat16, 16, 2, 512, false, true)]
    [InlineData(DeviceType.CUDA, ScalarType.BFloat16, 16, 16, 512, true, false)]                    // they are equal
    [InlineData(DeviceType.CUDA, ScalarType.Float32, 16, 8, 256, true, false)]
    [InlineData(DeviceType.CPU, ScalarType.BFloat16, 16, 2, 512, true, false)]
    [InlineData(DeviceType.META, ScalarType.BFloat16, 16, 2, 512, true, false)]
    public void Heads_are_repeated_where_a_kernel_needs_it(
        DeviceType device, ScalarType dtype, long heads, long keyHeads, long headDim, bool masked, bool repeats) =>
        Assert.Equal(repeats, FusedAttention.NeedsEqualHeads(device, dtype, heads, keyHeads, headDim, masked));

    [Fact]
    public void The_kernel_is_named()
    {
        Tensor x = randn([1, 2, 4, 8], ScalarType.Float32, TestDevice.Current);
        Assert.Contains(
            FusedAttention.NameOf(x, x, x, null, 1), new[] { "none: all scores in memory", "flash", "memory-efficient", "cuDNN" });
    }
}
