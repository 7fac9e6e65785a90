using static TorchSharp.torch;

namespace DiffusionGemma;

/// <summary>
/// Against the formulas in float64: a soft-capped logit is off by some units of its cap's last place, and so much, relatively, is a
/// probability.
/// </summary>
public class ManagedCrossEntropyTests : TorchTest
{
    public static TheoryData<int, int, double, double> Cases()
    {
        var cases = new TheoryData<int, int, double, double>();
        foreach (int width in new[] { 4, 8, 16 })
        {
            cases.Add(width, width, 30, 1);
            cases.Add(width, 5008, 30, 10);                                                    // runs and a rest
            cases.Add(width, 1024, 30, 300);                                                   // logits that reach the cap's ends
            cases.Add(width, 1024, 1000, 300);                                                 // nearly all probability is one token's
        }
        return cases;
    }

    public static TheoryData<int> Widths => Width.All;

    [Theory]
    [MemberData(nameof(Cases))]
    public void Loss_and_gradient(int width, int columns, double cap, double spread)
    {
        ManagedKernels kernels = Width.Kernels(width);
        using var generator = new Generator(3);
        // A view.
        Tensor z = randn(7, columns, generator: generator) * spread, targets = randint(0, columns, [9], generator: generator)
            .narrow(0, 2, 7);
        Tensor wide = z.to(ScalarType.Float64).requires_grad_(true);
        Tensor loss = nn.functional.cross_entropy((wide / cap).tanh() * cap, targets, reduction: nn.Reduction.Sum);
        loss.backward();
        double off = cap * Math.Pow(2, -20) + 1e-6;
        double alone = kernels.TryCappedCrossEntropy(z.clone(), targets, cap, withGradient: false)!.Value;
        double sum = kernels.TryCappedCrossEntropy(z, targets, cap, withGradient: true)!.Value;
        Assert.Equal(loss.item<double>(), sum, 7 * off);
        Assert.Equal(sum, alone);
        Assert.True(Largest(z, wide.grad!) <= off, $"{Largest(z, wide.grad!):e1} of {off:e1}");
    }

    [Theory]
    [MemberData(nameof(Widths))]
    public void What_is_no_number_gives_no_number(int width)
    {
        ManagedKernels kernels = Width.Kernels(width);
        for (int at = 0; at < 64; at++)
        {
            using var scope = NewDisposeScope();
            Tensor z = zeros(2, 64);
            z[1, at] = float.NaN;
            Assert.False(double.IsFinite(kernels.TryCappedCrossEntropy(z, zeros(2, ScalarType.Int64), 30, withGradient: true)!.Value));
        }
    }

    [Theory]
    [MemberData(nameof(Widths))]
    public void Other_sizes_are_left_alone(int width) =>
        Assert.Null(Width.Kernels(width).TryCappedCrossEntropy(zeros(2, 65), zeros(2, ScalarType.Int64), 30, withGradient: true));
}
