using static TorchSharp.torch;

namespace DiffusionGemma;

/// <summary>
/// A layer's experts with their rows counted on the device, as a GPU computes them, against the same with counts on the host in float64:
/// results and every gradient, within float32's rounding of sums of at most forty products.
/// </summary>
public class ExpertsOnDeviceTests : TorchTest
{
    private const int Hidden = 8, Inner = 4;
    private readonly Generator _generator = new(13);

    [Theory]
    [InlineData(13, 4, 2, 0)]
    [InlineData(1, 8, 3, 0)]                                // most experts have no token
    [InlineData(13, 4, 2, 2)]                               // a rank that is padded
    [InlineData(1, 8, 3, 1)]
    [InlineData(40, 4, 4, 4)]                               // every expert has every token; a rank that is not padded
    public void Result_and_gradients_equal_those_with_counts_on_the_host(int tokens, int experts, int choices, int rank)
    {
        Tensor Numbers(params long[] shape) => randn(shape, ScalarType.Float64, generator: _generator);
        Tensor[] values =
        [
            Numbers(tokens, Hidden), Numbers(tokens, choices), Numbers(experts, 2 * Inner, Hidden), Numbers(experts, Hidden, Inner),
            .. rank == 0 ? [] : new[]
            {
                Numbers(experts * rank, Hidden), Numbers(2 * Inner, rank * experts), Numbers(experts * rank, Inner),
                Numbers(Hidden, rank * experts),
            },
        ];
        Tensor dy = Numbers(tokens, Hidden);
        Tensor indices = stack(Enumerable.Range(0, tokens).Select(_ => randperm(experts, generator: _generator).narrow(0, 0, choices)));

        var reads = new CountingReads(CPU);
        Tensor[] expected = Run(ScalarType.Float64, countsOnDevice: false), got = Run(ScalarType.Float32, countsOnDevice: true);

        Assert.Equal(1, reads.Count);                                                        // of the form with counts on the host
        foreach ((Tensor one, Tensor same) in got.Zip(expected))
            Assert.InRange(Largest(one, same), 0, 2e-6 * Math.Max(1, same.abs().max().item<double>()));

        // The result, and the gradient of each value.
        Tensor[] Run(ScalarType dtype, bool countsOnDevice)
        {
            Tensor[] leaves = [.. values.Select(value => value.to(dtype).clone().requires_grad_(true))];
            ExpertsLora? lora = rank == 0 ? null : new ExpertsLora(
                new ExpertStackLora(leaves[4], leaves[5], experts, 0.7), new ExpertStackLora(leaves[6], leaves[7], experts, 0.3));
            var layer = new Experts("experts", leaves[2], leaves[3], new SingleRank(), reads, countsOnDevice) { EncoderLora = lora };
            var context = new PassContext(Pass.Encoder);
            Tensor y = layer.Forward(leaves[0], leaves[1], indices, context);
            context.Backward.Run([(y, dy.to(dtype))]);
            return [y.detach(), .. leaves.Select(leaf => leaf.grad!)];
        }
    }

    public override void Dispose()
    {
        _generator.Dispose();
        base.Dispose();
    }
}
