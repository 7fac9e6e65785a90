using static TorchSharp.torch;

namespace DiffusionGemma;

/// <summary>
/// The experts' own backward against autograd over a loop of plain expressions, in float64: the same sums in another order.
/// </summary>
public class ExpertsTests : TorchTest
{
    private const double Tolerance = 1e-10;
    private readonly Generator _generator = new(11);

    [Theory]
    [InlineData(13, 4, 2, false)]
    [InlineData(1, 8, 3, false)]                            // most experts have no token
    [InlineData(40, 4, 4, false)]                           // every expert has every token
    [InlineData(13, 4, 2, true)]
    [InlineData(1, 8, 3, true)]
    public void Result_and_gradients_equal_the_plain_ones(int tokens, int experts, int choices, bool lora)
    {
        Tensor x = Leaf(tokens, 6), weights = Leaf(tokens, choices), gateUp = Leaf(experts, 10, 6), down = Leaf(experts, 6, 5);
        Tensor dy = Numbers(tokens, 6);
        Tensor indices = stack(Enumerable.Range(0, tokens).Select(_ => randperm(experts, generator: _generator).narrow(0, 0, choices)));
        ExpertStackLora? gateUpLora = lora ? new(Leaf(experts * 2, 6), Leaf(10, 2 * experts), experts, 0.7) : null;
        ExpertStackLora? downLora = lora ? new(Leaf(experts * 2, 5), Leaf(6, 2 * experts), experts, 0.3) : null;
        var layer = new Experts("experts", gateUp, down, new SingleRank())
        {
            EncoderLora = lora ? new ExpertsLora(gateUpLora, downLora) : null,
        };
        Tensor[] leaves = [x, weights, gateUp, down, .. lora ? new[] { gateUpLora!.A, gateUpLora.B, downLora!.A, downLora.B } : []];

        Tensor plain = Plain();
        plain.backward([dy]);
        Tensor[] expected = [.. leaves.Select(l => l.grad!.clone())];
        foreach (Tensor leaf in leaves) leaf.grad!.fill_(2);                                    // gradients are added to what is there
        var context = new PassContext(Pass.Encoder);
        Tensor got = layer.Forward(x, weights, indices, context);
        context.Backward.Run([(got, dy)]);

        Assert.True(Largest(got, plain) < Tolerance);
        foreach ((Tensor leaf, Tensor gradient) in leaves.Zip(expected))
            Assert.True(Largest(leaf.grad! - 2, gradient) < Tolerance * Math.Max(1, gradient.abs().max().item<double>()));
        using (no_grad()) Assert.Equal(0, Largest(layer.Forward(x, weights, indices, context), got));

        Tensor Plain()
        {
            Tensor WithDelta(Tensor stack, ExpertStackLora? low, int e) =>
                low is null
                    ? stack[e]
                    : stack[e] + low.B.view(low.B.shape[0], 2, experts).select(2, e).mm(low.A.narrow(0, 2 * e, 2)) * low.Scale;
            var rows = new List<Tensor>();
            for (int t = 0; t < tokens; t++)
            {
                Tensor sum = zeros(1, 6, dtype: ScalarType.Float64);
                for (int k = 0; k < choices; k++)
                {
                    int e = (int)indices[t, k].item<long>();
                    Tensor[] gateAndUp = nn.functional.linear(x.narrow(0, t, 1), WithDelta(gateUp, gateUpLora, e)).chunk(2, -1);
                    Tensor activated = GatedMlp.GeluTanh(gateAndUp[0]) * gateAndUp[1];
                    sum = sum + nn.functional.linear(activated, WithDelta(down, downLora, e)) * weights[t, k];
                }
                rows.Add(sum);
            }
            return cat(rows, 0);
        }
    }

    /// <summary>Frozen stacks under a trained input: LoRA on the projections alone.</summary>
    [Fact]
    public void Frozen_stacks_get_no_gradient()
    {
        Tensor x = Leaf(3, 6), gateUp = Numbers(4, 10, 6), down = Numbers(4, 6, 5);
        Tensor indices = tensor(new long[,] { { 0, 1 }, { 2, 1 }, { 3, 0 } });
        var context = new PassContext(Pass.Decoder);
        Tensor got = new Experts("experts", gateUp, down, new SingleRank()).Forward(x, Numbers(3, 2), indices, context);
        context.Backward.Run([(got, ones_like(got))]);
        Assert.NotNull(x.grad);
        Assert.Null(gateUp.grad);
        Assert.Null(down.grad);
    }

    [Fact]
    public void Pairs_are_sorted_by_expert()
    {
        ExpertRouting routing = ExpertRouting.Sort(tensor(new long[,] { { 2, 0 }, { 0, 1 }, { 2, 0 } }), 4);
        Assert.Equal([1L, 2, 5, 3, 0, 4], routing.Order.data<long>().ToArray());
        Assert.Equal([0L, 1, 2, 1, 0, 2], routing.Tokens.data<long>().ToArray());
        Assert.Equal([4L, 0, 1, 3, 5, 2], routing.Places.data<long>().ToArray());
        Assert.Equal([3L, 1, 2, 0], routing.Rows.Counts);
    }

    public override void Dispose()
    {
        _generator.Dispose();
        base.Dispose();
    }

    private Tensor Numbers(params long[] shape) => randn(shape, dtype: ScalarType.Float64, generator: _generator);

    private Tensor Leaf(params long[] shape) => Numbers(shape).requires_grad_(true);
}
