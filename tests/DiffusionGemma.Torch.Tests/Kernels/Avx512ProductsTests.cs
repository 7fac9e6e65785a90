using System.Runtime.Intrinsics.X86;
using CsCheck;
using static TorchSharp.torch;

namespace DiffusionGemma;

/// <summary>
/// Against products in float64, within what n roundings of half a unit can do: n · 2⁻²⁴ · Σ |a||b|. On processors without AVX-512 the same holds of
/// libtorch's products, with n of one plain sum.
/// </summary>
public class Avx512ProductsTests : TorchTest
{
    private readonly Generator _generator = new(5);

    /// <summary>A sum is over 16 lanes, which take four additions more.</summary>
    [Fact]
    public void Slices_of_rows_are_multiplied_with_their_own_weights() => Property.Holds(
        Gen.Select(Gen.Int[0, 150].Array[1, 4].Where(counts => counts.Sum() > 0), Gen.Int[1, 64], Gen.Int[1, 9]), 60, drawn =>
    {
        using var scope = NewDisposeScope();
        (int[] counts, int sixteens, int eights) = drawn;
        long[] rows = [.. counts.Select(c => (long)c)];
        Tensor x = Numbers(counts.Sum(), 16 * sixteens), weights = Numbers(counts.Length, 8 * eights, 16 * sixteens), around = full(counts.Sum() + 2, 8 * eights, 7f), y = around.narrow(0, 1, counts.Sum());
        Assert.Equal(Avx512F.IsSupported, Avx512Products.TryTransposed(x, weights, rows, y));
        Assert.True(cat([around[0], around[-1]], 0).eq(7).all().item<bool>());                 // nothing is written beside y
        if (!Avx512F.IsSupported) return;
        Tensor[] parts = x.split(rows, 0), results = y.split(rows, 0);
        for (int e = 0; e < counts.Length; e++)
            if (counts[e] > 0) Near(results[e], parts[e], weights[e].t(), sixteens + 4);
    });

    [Fact]
    public void A_row_does_not_depend_on_the_rows_beside_it()
    {
        Assert.SkipUnless(Avx512F.IsSupported, "This processor has no AVX-512.");
        Tensor x = Numbers(201, 48), weight = Numbers(40, 48), all = Kernels.Linear(x, weight);
        for (int row = 0; row < 201; row++) Assert.Equal(0, Largest(Kernels.Linear(x.narrow(0, row, 1), weight), all.narrow(0, row, 1)));
    }

    [Theory]
    [InlineData(64, 32, 512)]                                // sizes that the tiles divide
    [InlineData(64, 30, 512)]
    [InlineData(64, 32, 500)]
    [InlineData(64, 32, 1040)]                               // more than the first-level cache holds
    public void Other_sizes_are_left_to_libtorch(int rows, int outputs, int inputs)
    {
        Tensor x = Numbers(2, rows / 2, inputs), weight = Numbers(outputs, inputs), y = Kernels.Linear(x, weight);
        Assert.Equal([2, rows / 2, outputs], y.shape);
        Near(y.view(rows, outputs), x.view(rows, inputs), weight.t(), inputs);
        Assert.Equal(0, Largest(Kernels.Linear(x.to(ScalarType.Float64), weight.to(ScalarType.Float64)), nn.functional.linear(x.to(ScalarType.Float64), weight.to(ScalarType.Float64))));
        Tensor strided = Numbers(2, inputs, rows / 2).transpose(1, 2);
        Near(Kernels.Linear(strided, weight).view(rows, outputs), strided.reshape(rows, inputs), weight.t(), inputs);
    }

    /// <summary>Sums of 256, which are then added up.</summary>
    [Theory]
    [InlineData(8, 1, 32)]
    [InlineData(64, 256, 64)]
    [InlineData(136, 1000, 96)]
    [InlineData(12, 300, 32)]
    [InlineData(16, 300, 40)]                                // columns that the tiles do not divide
    public void Plain_products(int rows, int inner, int columns)
    {
        Tensor a = Numbers(rows, inner), b = Numbers(inner, columns);
        Near(Kernels.MatMul(a, b), a, b, columns % 32 == 0 ? InBlocks(inner) : inner);
    }

    [Fact]
    public void Plain_slices_of_rows_are_multiplied_with_their_own_matrices() => Property.Holds(
        Gen.Select(Gen.Int[0, 150].Array[1, 4].Where(counts => counts.Sum() > 0), Gen.Int[1, 600], Gen.Int[1, 5]), 60, drawn =>
    {
        using var scope = NewDisposeScope();
        (int[] counts, int inner, int columns) = drawn;
        long[] rows = [.. counts.Select(c => (long)c)];
        Tensor a = Numbers(counts.Sum(), inner), b = Numbers(counts.Length, inner, 32 * columns), around = full(counts.Sum() + 2, 32 * columns, 7f), y = around.narrow(0, 1, counts.Sum());
        Assert.Equal(Avx512F.IsSupported, Avx512Products.TryPlain(a, b, rows, y));
        Assert.True(cat([around[0], around[-1]], 0).eq(7).all().item<bool>());                 // nothing is written beside y
        if (!Avx512F.IsSupported) return;
        Tensor[] parts = a.split(rows, 0), results = y.split(rows, 0);
        for (int e = 0; e < counts.Length; e++)
        {
            if (counts[e] == 0) continue;
            Near(results[e], parts[e], b[e], InBlocks(inner));
            Assert.Equal(0, Largest(Kernels.MatMul(parts[e].narrow(0, counts[e] - 1, 1), b[e]), results[e].narrow(0, counts[e] - 1, 1)));   // whatever the rows beside it
        }
    });

    [Fact]
    public void Outer_products_are_added() => Property.Holds(Gen.Select(Gen.Int[0, 600], Gen.Int[1, 70], Gen.Int[1, 5]), 60, drawn =>
    {
        using var scope = NewDisposeScope();
        (int count, int rows, int columns) = drawn;
        Tensor a = Numbers(count, rows), b = Numbers(count, 32 * columns), around = Numbers(rows + 2, 32 * columns), before = around.clone(), y = around.narrow(0, 1, rows);
        Assert.Equal(Avx512F.IsSupported, Avx512Products.TryAddOuter(a, b, y));
        Assert.Equal(0, Largest(around[0], before[0]) + Largest(around[-1], before[-1]));
        if (!Avx512F.IsSupported) return;
        // What was there counts as one more product.
        Near(y, cat([a.t(), eye(rows)], 1), cat([b, before.narrow(0, 1, rows)], 0), InBlocks(count) + 1);
    });

    [Fact]
    public void More_threads_are_left_to_libtorch()
    {
        Tensor x = Numbers(64, 512), weight = Numbers(32, 512), y = zeros(64, 32);
        try
        {
            set_num_threads(2);
            Assert.False(Avx512Products.TryTransposed(x, weight, [64], y));
            Assert.Equal(0, Largest(Kernels.Linear(x, weight), nn.functional.linear(x, weight)));
        }
        finally
        {
            set_num_threads(1);
        }
        Assert.Equal(0, y.abs().max().item<float>());
    }

    public override void Dispose()
    {
        _generator.Dispose();
        base.Dispose();
    }

    /// <summary>Sums of 256, which are then added up.</summary>
    private static int InBlocks(int inner) => Math.Min(inner, 256) + ((inner + 255) / 256);

    private static void Near(Tensor got, Tensor a, Tensor b, int roundings)
    {
        (a, b) = (a.to(ScalarType.Float64), b.to(ScalarType.Float64));
        Tensor excess = (got.to(ScalarType.Float64) - a.mm(b)).abs() - a.abs().mm(b.abs()) * (1.001 * roundings * Math.Pow(2, -24));
        Assert.True(excess.max().item<double>() <= 0, $"{excess.max().item<double>()} too far");
    }

    private Tensor Numbers(params long[] shape) => randn(shape, generator: _generator);
}
