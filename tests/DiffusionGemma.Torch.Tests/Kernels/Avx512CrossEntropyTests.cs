using System.Runtime.Intrinsics.X86;
using static TorchSharp.torch;

namespace DiffusionGemma;

/// <summary>Against the formulas in float64: a soft-capped logit is off by some units of its cap's last place, and so much, relatively, is a probability.</summary>
public class Avx512CrossEntropyTests : TorchTest
{
    [Theory]
    [InlineData(16, 30.0, 1.0)]
    [InlineData(5008, 30.0, 10.0)]                           // runs and a rest
    [InlineData(1024, 30.0, 300.0)]                          // logits that reach the cap's ends
    [InlineData(1024, 1000.0, 300.0)]                        // nearly all probability is one token's
    public void Loss_and_gradient(int columns, double cap, double spread)
    {
        Assert.SkipUnless(Avx512F.IsSupported, "This processor has no AVX-512.");
        using var generator = new Generator(3);
        Tensor z = randn(7, columns, generator: generator) * spread, targets = randint(0, columns, [9], generator: generator).narrow(0, 2, 7);   // a view
        Tensor wide = z.to(ScalarType.Float64).requires_grad_(true);
        Tensor loss = nn.functional.cross_entropy((wide / cap).tanh() * cap, targets, reduction: nn.Reduction.Sum);
        loss.backward();
        double off = cap * Math.Pow(2, -20) + 1e-6;
        Assert.True(Avx512CrossEntropy.TryRun(z.clone(), targets, cap, withGradient: false, out double alone));
        Assert.True(Avx512CrossEntropy.TryRun(z, targets, cap, withGradient: true, out double sum));
        Assert.Equal(loss.item<double>(), sum, 7 * off);
        Assert.Equal(sum, alone);
        Assert.True(Largest(z, wide.grad!) <= off, $"{Largest(z, wide.grad!):e1} of {off:e1}");
    }

    [Fact]
    public void What_is_no_number_gives_no_number()
    {
        Assert.SkipUnless(Avx512F.IsSupported, "This processor has no AVX-512.");
        for (int at = 0; at < 64; at++)
        {
            using var scope = NewDisposeScope();
            Tensor z = zeros(2, 64);
            z[1, at] = float.NaN;
            Assert.True(Avx512CrossEntropy.TryRun(z, zeros(2, ScalarType.Int64), 30, withGradient: true, out double sum));
            Assert.False(double.IsFinite(sum));
        }
    }

    [Fact]
    public void Other_dtypes_and_sizes_are_left_alone()
    {
        Assert.False(Avx512CrossEntropy.TryRun(zeros(2, 64, ScalarType.Float64), zeros(2, ScalarType.Int64), 30, true, out _));
        Assert.False(Avx512CrossEntropy.TryRun(zeros(2, 65), zeros(2, ScalarType.Int64), 30, true, out _));
    }
}
