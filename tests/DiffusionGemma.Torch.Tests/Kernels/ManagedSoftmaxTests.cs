using static TorchSharp.torch;

namespace DiffusionGemma;

/// <summary>Against the formulas in float64.</summary>
public class ManagedSoftmaxTests : TorchTest
{
    public static TheoryData<int, int, double, double> Cases()
    {
        var cases = new TheoryData<int, int, double, double>();
        foreach (int width in new[] { 4, 8, 16 })
        {
            cases.Add(width, width, 1, 1);
            cases.Add(width, 1024, 60, 3);
            cases.Add(width, 5008, 150, 1);                                                    // runs and a rest
            cases.Add(width, 2048, 30_000, 3);                                                 // nearly all is zero
            cases.Add(width, 2048, 75, 60);                                                    // scores that reach the sigmoid's ends
        }
        return cases;
    }

    public static TheoryData<int> Widths => Width.All;

    /// <summary>s is at most its scale, and off by some units of its last place: so much, relatively, is exp(s) off.</summary>
    [Theory]
    [MemberData(nameof(Cases))]
    public void Weights_totals_and_entropies(int width, int columns, double scale, double spread)
    {
        ManagedKernels kernels = Width.Kernels(width);
        using var generator = new Generator(3);
        const int Rows = 7;
        Tensor x = randn(Rows, columns, generator: generator) * spread, wide = x.to(ScalarType.Float64);
        x[3, columns - 1] = float.PositiveInfinity;
        x[4, 0] = float.NegativeInfinity;
        wide.copy_(x);
        double[] scales = [.. Enumerable.Range(0, Rows).Select(row => scale * (1 - (0.1 * row)))], totals = new double[Rows], entropies =
            new double[Rows];
        int[] largest = new int[Rows];
        Assert.True(kernels.TryCappedSoftmax(x, scales, totals, entropies, largest));

        Tensor s = wide.sigmoid() * tensor(scales).unsqueeze(-1), weights = (s - s.amax([-1], keepdim: true)).exp();
        Tensor total = weights.sum(-1, keepdim: true), p = weights / total;
        double relative = (scale * Math.Pow(2, -21)) + 1e-6;
        Assert.True(((x.to(ScalarType.Float64) - weights).abs() - (weights * relative)).max().item<double>() <= 1e-37);
        Tensor expected = -(p * p.clamp_min(1e-300).log()).sum(-1);
        for (int row = 0; row < Rows; row++)
        {
            Assert.Equal(total[row, 0].item<double>(), totals[row], total[row, 0].item<double>() * relative);
            Assert.Equal(expected[row].item<double>(), entropies[row], relative * Math.Max(1, expected[row].item<double>()) * 10);
            Assert.Equal(s[row].max().item<double>(), s[row, largest[row]].item<double>(), scale * Math.Pow(2, -22));
        }
    }

    [Theory]
    [MemberData(nameof(Widths))]
    public void Of_equals_the_first_is_the_largest(int width)
    {
        ManagedKernels kernels = Width.Kernels(width);
        Tensor x = zeros(3, 64);
        x[1, 37] = 2;
        x[1, 50] = 2;
        x[2, 53] = 2;
        x[2, 20] = 2;
        int[] largest = new int[3];
        double[] totals = new double[3];
        Assert.True(kernels.TryCappedSoftmax(x, [10, 10, 10], totals, new double[3], largest));
        Assert.Equal([0, 37, 20], largest);
        Assert.Equal(64, totals[0]);
    }

    [Theory]
    [MemberData(nameof(Widths))]
    public void What_is_no_number_stays_none(int width)
    {
        ManagedKernels kernels = Width.Kernels(width);
        for (int at = 0; at < 64; at++)
        {
            using var scope = NewDisposeScope();
            Tensor x = zeros(2, 64);
            x[1, at] = float.NaN;
            double[] totals = new double[2];
            Assert.True(kernels.TryCappedSoftmax(x, [10, 10], totals, new double[2], new int[2]));
            Assert.Equal([true, false], totals.Select(double.IsFinite));
        }
    }

    [Theory]
    [MemberData(nameof(Widths))]
    public void Other_sizes_are_left_alone(int width) =>
        Assert.False(Width.Kernels(width).TryCappedSoftmax(zeros(2, 65), [1, 1], new double[2], new double[2], new int[2]));
}
