using CsCheck;
using static TorchSharp.torch;

namespace DiffusionGemma;

/// <summary>
/// Against products in float64, within what n roundings of half a unit can do: n · 2⁻²⁴ · Σ |a||b|. At every width that the processor has.
/// </summary>
public class ManagedProductsTests : TorchTest
{
    private readonly Generator _generator = new(5);

    public static TheoryData<int> Widths => Width.All;

    /// <summary>Sums over a register's lanes, which take four additions more at most, of 1 024 numbers at a time.</summary>
    [Theory]
    [MemberData(nameof(Widths))]
    public void Rows_are_multiplied_with_their_own_weights(int width)
    {
        ManagedKernels kernels = Width.Kernels(width);
        Property.Holds(Gen.Select(Counts, Gen.Int[1, 140], Gen.Int[1, 9], Gen.Bool), 60, drawn =>
        {
            using var scope = NewDisposeScope();
            (int[] counts, int inputs, int outputs, bool stored) = drawn;
            (inputs, outputs) = (16 * inputs, 8 * outputs);
            long[] rows = [.. counts.Select(c => (long)c)];
            Tensor x = Numbers(counts.Sum(), inputs), weights = Numbers(counts.Length, outputs, inputs);
            if (stored) weights = weights.to(ScalarType.BFloat16);
            Tensor around = full(counts.Sum() + 2, outputs, 7f), y = around.narrow(0, 1, counts.Sum());
            Assert.True(stored
                ? kernels.TryLinear(x, new BFloat16Rows(weights), outputs, rows, y) : kernels.TryLinear(x, weights, rows, y));
            Assert.True(cat([around[0], around[-1]], 0).eq(7).all().item<bool>());                 // nothing is written beside y
            Tensor[] parts = x.split(rows, 0), results = y.split(rows, 0);
            for (int e = 0; e < counts.Length; e++)
                if (counts[e] > 0) Near(results[e], parts[e], weights[e].t(), Math.Min(inputs, 1024) / width + 4 + (inputs + 1023) / 1024);
        });
    }

    [Theory]
    [MemberData(nameof(Widths))]
    public void A_row_does_not_depend_on_the_rows_beside_it(int width)
    {
        ManagedKernels kernels = Width.Kernels(width);
        foreach ((int inputs, int outputs) in new[] { (48, 40), (1056, 24) })
        {
            Tensor x = Numbers(201, inputs), weight = Numbers(outputs, inputs), all = empty(201, outputs), one = empty(1, outputs);
            Tensor table = Numbers(inputs, 96), product = empty(201, 96), alone = empty(1, 96);
            Assert.True(kernels.TryLinear(x, weight, [201], all));
            Assert.True(kernels.TryMatMul(x, table, [201], product));
            for (int row = 0; row < 201; row++)
            {
                Assert.True(kernels.TryLinear(x.narrow(0, row, 1), weight, [1], one));
                Assert.Equal(0, Largest(one, all.narrow(0, row, 1)));
                Assert.True(kernels.TryMatMul(x.narrow(0, row, 1), table, [1], alone));
                Assert.Equal(0, Largest(alone, product.narrow(0, row, 1)));
            }
        }
    }

    /// <summary>Sums of 256, which are then added up.</summary>
    [Theory]
    [MemberData(nameof(Widths))]
    public void Rows_are_multiplied_with_their_own_matrices(int width)
    {
        ManagedKernels kernels = Width.Kernels(width);
        Property.Holds(Gen.Select(Counts, Gen.Int[1, 600], Gen.Int[1, 9], Gen.Bool), 60, drawn =>
        {
            using var scope = NewDisposeScope();
            (int[] counts, int inner, int columns, bool stored) = drawn;
            columns *= 2 * width;
            long[] rows = [.. counts.Select(c => (long)c)];
            Tensor a = Numbers(counts.Sum(), inner), b = Numbers(counts.Length, inner, columns);
            if (stored) b = b.to(ScalarType.BFloat16);
            Tensor around = full(counts.Sum() + 2, columns, 7f), y = around.narrow(0, 1, counts.Sum());
            Assert.True(stored ? kernels.TryMatMul(a, new BFloat16Rows(b), rows, y) : kernels.TryMatMul(a, b, rows, y));
            Assert.True(cat([around[0], around[-1]], 0).eq(7).all().item<bool>());                 // nothing is written beside y
            Tensor[] parts = a.split(rows, 0), results = y.split(rows, 0);
            for (int e = 0; e < counts.Length; e++)
                if (counts[e] > 0) Near(results[e], parts[e], b[e], InBlocks(inner));
        });
    }

    [Theory]
    [MemberData(nameof(Widths))]
    public void Products_are_added(int width)
    {
        ManagedKernels kernels = Width.Kernels(width);
        Property.Holds(Gen.Select(Gen.Int[1, 220], Gen.Int[0, 600], Gen.Int[1, 9]), 60, drawn =>
        {
            using var scope = NewDisposeScope();
            (int rows, int inner, int columns) = drawn;
            columns *= 2 * width;
            Tensor a = Numbers(rows, inner), b = Numbers(inner, columns), y = Numbers(rows, columns), before = y.clone();
            Assert.True(kernels.TryAddMatMul(a, b, [rows], y));
            // What was there counts as one more product.
            Near(y, cat([a, eye(rows)], 1), cat([b, before], 0), InBlocks(inner) + 1);
        });
    }

    [Theory]
    [MemberData(nameof(Widths))]
    public void Outer_products_are_added(int width)
    {
        ManagedKernels kernels = Width.Kernels(width);
        Property.Holds(Gen.Select(Gen.Int[0, 600], Gen.Int[1, 220], Gen.Int[1, 9]), 60, drawn =>
        {
            using var scope = NewDisposeScope();
            (int count, int rows, int columns) = drawn;
            columns *= 2 * width;
            Tensor a = Numbers(count, rows), b = Numbers(count, columns), around = Numbers(rows + 2, columns), before = around.clone();
            Tensor y = around.narrow(0, 1, rows);
            Assert.True(kernels.TryAddOuter(a, b, y));
            Assert.Equal(0, Largest(around[0], before[0]) + Largest(around[-1], before[-1]));
            Near(y, cat([a.t(), eye(rows)], 1), cat([b, before.narrow(0, 1, rows)], 0), InBlocks(count) + 1);
        });
    }

    [Theory]
    [MemberData(nameof(Widths))]
    public void Sizes_that_the_tiles_do_not_divide_are_left_alone(int width)
    {
        ManagedKernels kernels = Width.Kernels(width);
        Tensor x = Numbers(6, 64), y = full(6, 32, 7f), odd = full(6, 30, 7f), halved = full(6, width, 7f);
        Assert.False(kernels.TryLinear(x, Numbers(30, 64), [6], odd));
        Assert.False(kernels.TryLinear(Numbers(6, 62), Numbers(32, 62), [6], y));
        Assert.False(kernels.TryLinear(Numbers(64, 6).t(), Numbers(32, 64), [6], y));
        Assert.False(kernels.TryMatMul(x, Numbers(64, width), [6], halved));
        Assert.False(kernels.TryMatMul(x, Numbers(32, 64).t(), [6], y));
        Assert.False(kernels.TryAddMatMul(x, Numbers(64, width), [6], halved));
        Assert.False(kernels.TryAddOuter(Numbers(5, 6), Numbers(5, width), halved));
        foreach (Tensor untouched in new[] { y, odd, halved }) Assert.True(untouched.eq(7).all().item<bool>());
    }

    public override void Dispose()
    {
        _generator.Dispose();
        base.Dispose();
    }

    private static Gen<int[]> Counts => Gen.Int[0, 150].Array[1, 4].Where(counts => counts.Sum() > 0);

    private static int InBlocks(int inner) => Math.Min(inner, 256) + (inner + 255) / 256;

    private static void Near(Tensor got, Tensor a, Tensor b, int roundings)
    {
        (a, b) = (a.to(ScalarType.Float64), b.to(ScalarType.Float64));
        Tensor excess = (got.to(ScalarType.Float64) - a.mm(b)).abs() - a.abs().mm(b.abs()) * (1.001 * roundings * Math.Pow(2, -24));
        Assert.True(excess.max().item<double>() <= 0, $"{excess.max().item<double>()} too far");
    }

    private Tensor Numbers(params long[] shape) => randn(shape, generator: _generator);
}
