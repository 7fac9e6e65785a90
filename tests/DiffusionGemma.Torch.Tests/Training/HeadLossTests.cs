using static TorchSharp.torch;

namespace DiffusionGemma;

/// <summary>The chunked loss against the plain one, in float64: the same sums in another order, over up to a million terms.</summary>
public class HeadLossTests : TorchTest
{
    [Theory]
    [InlineData(0, 16)]
    [InlineData(1, 16)]
    [InlineData(7, 40)]
    [InlineData(300, 1 << 15)]                              // two chunks, many blocks
    public void Loss_and_gradients_equal_the_plain_ones(int tokens, int vocabulary)
    {
        using var generator = new Generator(3);
        Tensor hidden = randn(2, tokens, 4, dtype: ScalarType.Float64, generator: generator).requires_grad_(true);
        Tensor weight = (randn(vocabulary, 4, dtype: ScalarType.Float64, generator: generator) * 10).requires_grad_(true);
        Tensor targets = randint(0, vocabulary, [2, tokens], generator: generator);
        Tensor mask = rand(2, tokens, generator: generator) < 0.7;
        if (tokens == 1) mask.fill_(false);                 // a row with nothing to score

        Tensor places = mask.flatten().nonzero().flatten();
        Tensor nll = nn.functional.cross_entropy(
            (nn.functional.linear(hidden, weight) / 30).tanh().flatten(0, 1) * 30, targets.flatten(), reduction: nn.Reduction.None);
        Tensor plain = nll.masked_fill(mask.flatten().logical_not(), 0).sum();
        (plain * 0.7).backward();
        (Tensor hiddenGradient, Tensor weightGradient) = (hidden.grad!.clone(), weight.grad!.clone());
        weight.grad!.fill_(1);                              // gradients are added to what is there

        double alone = HeadLoss.Sum(hidden, weight, targets, places, 30).item<double>();
        Assert.Equal(plain.item<double>(), alone, 1e-10 * Math.Max(1, plain.item<double>()));
        Assert.Equal(0, Largest(weight.grad!, ones_like(weight)));
        (Tensor sum, Tensor? gradient) = HeadLoss.SumAndGradient(hidden, weight, targets, places, 30, 0.7, new GradientSink([]));
        Assert.Equal(plain.item<double>(), sum.item<double>(), 1e-10 * Math.Max(1, plain.item<double>()));
        if (tokens > 0) Assert.True(Largest(gradient!, hiddenGradient) < 1e-10 * Math.Max(1, hiddenGradient.abs().max().item<double>()));
        Assert.True(Largest(weight.grad! - 1, weightGradient) < 1e-10 * Math.Max(1, weightGradient.abs().max().item<double>()));
    }

    /// <summary>
    /// A bfloat16 head's gradient adds up in the optimiser's float32 memory: within bfloat16's 8 bits of the float64 one, chunk by chunk.
    /// </summary>
    [Fact]
    public void A_narrow_heads_gradient_adds_up_in_its_buffer()
    {
        using var generator = new Generator(4);
        Tensor hidden = randn(200, 16, generator: generator).to(ScalarType.BFloat16),
            weight = randn(1 << 16, 16, generator: generator).to(ScalarType.BFloat16).requires_grad_(true);
        Tensor targets = randint(0, 1 << 16, [200], generator: generator), all = arange(200, dtype: ScalarType.Int64);
        Tensor wide = weight.detach().to(ScalarType.Float64).requires_grad_(true), buffer = zeros_like(weight, ScalarType.Float32);
        HeadLoss.SumAndGradient(hidden.to(ScalarType.Float64), wide, targets, all, 30, 1, new GradientSink([]));
        HeadLoss.SumAndGradient(hidden, weight, targets, all, 30, 1, new GradientSink([(weight, buffer)]));
        Assert.Null(weight.grad);
        Assert.True(Largest(buffer, wide.grad!) <= 0.02 * wide.grad!.abs().max().item<double>(), $"{Largest(buffer, wide.grad!):e1}");
    }

    [Fact]
    public void What_is_frozen_gets_no_gradient()
    {
        using var generator = new Generator(3);
        Tensor hidden = randn(5, 4, generator: generator).requires_grad_(true), weight = randn(9, 4, generator: generator);
        Tensor targets = randint(0, 9, [5], generator: generator), all = arange(5, dtype: ScalarType.Int64);
        Assert.NotNull(HeadLoss.SumAndGradient(hidden, weight, targets, all, 30, 1, new GradientSink([])).HiddenGradient);
        Assert.Null(weight.grad);
        Assert.Null(HeadLoss.SumAndGradient(hidden.detach(), weight, targets, all, 30, 1, new GradientSink([])).HiddenGradient);
    }
}
