using static TorchSharp.torch;

namespace DiffusionGemma;

/// <summary>Errors of rounding to 4 bits, at the widths of the released model.</summary>
public class QuantizerTests : TorchTest
{
    private const long Rows = 128;

    /// <summary>Sizes of groups, and numbers as weights have them: of a normal distribution, and with heavier tails.</summary>
    public static TheoryData<long, bool> Widths
    {
        get
        {
            var widths = new TheoryData<long, bool>();
            foreach (long columns in new[] { 2816, 704, 2112, 4096, 8192 })
                foreach (bool heavy in new[] { false, true })
                    widths.Add(columns, heavy);
            return widths;
        }
    }

    /// <summary>
    /// A scale that is searched has no larger squared error than that of the largest number, and groups of 32 a smaller one than groups of
    /// 64, which save a quarter of a bit of 4.5. Prints them.
    /// </summary>
    [Theory]
    [MemberData(nameof(Widths))]
    public void Groups_of_32_with_a_searched_scale_have_the_smallest_error(long columns, bool heavy)
    {
        using var generator = new Generator(3);
        Tensor values = randn(Rows, columns, generator: generator);
        // Student's t with 5 degrees of freedom: its kurtosis is 9, a normal distribution's 3.
        if (heavy) values = values / (randn(5, Rows, columns, generator: generator).square().mean([0])).sqrt();
        (double small, double smallPlain) = (Searched(values, 32), Plain(values, 32));
        (double large, double largePlain) = (Searched(values, 64), Plain(values, 64));
        TestContext.Current.TestOutputHelper?.WriteLine(
            $"{columns} {(heavy ? "t(5)" : "normal")}: groups of 32 {small:P2}, of 64 {large:P2}; without the search {smallPlain:P2}, "
            + $"{largePlain:P2}");
        Assert.True(small < smallPlain);
        Assert.True(large < largePlain);
        Assert.True(small < large);
    }

    [Fact]
    public void Groups_that_do_not_divide_a_row_are_refused()
    {
        Tensor values = ones(2, 96);
        ArgumentException error = Assert.Throws<ArgumentException>(
            () => Quantizer.Round(Quantization.Int4, 2, 96, (first, count) => values.narrow(0, first, count), size: 64));
        Assert.Contains("groups of 64", error.Message);
    }

    /// <summary>Root-mean-square error over the norm, as this library rounds.</summary>
    private static double Searched(Tensor values, long size)
    {
        using QuantizedMatrix matrix = Quantizer.Round(
            Quantization.Int4, values.shape[0], values.shape[1], (first, count) => values.narrow(0, first, count).contiguous(), size);
        Assert.Equal(size, matrix.GroupSize);
        return Norm(Kernels.Dequantize(matrix, ScalarType.Float32) - values) / Norm(values);
    }

    /// <summary>The same where a group's scale represents its largest number.</summary>
    private static double Plain(Tensor values, long size)
    {
        Tensor groups = values.view(values.shape[0], -1, size);
        Tensor scale = (groups.abs().amax([-1], keepdim: true) / 7).to(ScalarType.BFloat16).to(ScalarType.Float32);
        return Norm((groups / scale).round().clamp(-8, 7) * scale - groups) / Norm(values);
    }

    private static double Norm(Tensor x) => x.norm().to(ScalarType.Float64).item<double>();
}
