using TorchSharp;
using static TorchSharp.torch;

namespace DiffusionGemma;

/// <summary>The chunked loss against the plain one, in float64: the same sums in another order, over up to a million terms.</summary>
public class HeadLossTests : TorchTest
{
    [Theory]
    [InlineData(0, 16)]
    [InlineData(1, 16)]
    [InlineData(7, 40)]
    [InlineData(50, 1 << 20)]                               // several chunks: 16 rows each
    public void Loss_and_gradients_equal_the_plain_ones(int tokens, int vocabulary)
    {
        using var generator = new Generator(3);
        Tensor hidden = randn(tokens, 4, dtype: ScalarType.Float64, generator: generator).requires_grad_(true);
        Tensor weight = (randn(vocabulary, 4, dtype: ScalarType.Float64, generator: generator) * 10).requires_grad_(true);
        Tensor targets = randint(0, vocabulary, [tokens], generator: generator);

        Tensor plain = nn.functional.cross_entropy((nn.functional.linear(hidden, weight) / 30).tanh() * 30, targets, reduction: nn.Reduction.Sum);
        (plain * 0.7).backward();
        (Tensor hiddenGradient, Tensor weightGradient) = (hidden.grad!.clone(), weight.grad!.clone());
        hidden.grad!.zero_();
        weight.grad!.zero_();

        Tensor chunked = HeadLoss.Sum(hidden, weight, targets, 30);
        AutogradFaults.Backward(chunked * 0.7);
        Assert.Equal(plain.item<double>(), chunked.item<double>(), 1e-9 * Math.Max(1, plain.item<double>()));
        if (tokens > 0) Assert.True(Largest(hidden.grad!, hiddenGradient) < 1e-10);
        Assert.True(Largest(weight.grad!, weightGradient) < 1e-10);
    }

    [Fact]
    public void Frozen_head_gets_no_gradient()
    {
        using var generator = new Generator(3);
        Tensor hidden = randn(5, 4, generator: generator).requires_grad_(true), weight = randn(9, 4, generator: generator);
        AutogradFaults.Backward(HeadLoss.Sum(hidden, weight, randint(0, 9, [5], generator: generator), 30));
        Assert.NotNull(hidden.grad);
        Assert.Null(weight.grad);
    }
}
