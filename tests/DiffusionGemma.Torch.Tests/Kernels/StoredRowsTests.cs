using static TorchSharp.torch;

namespace DiffusionGemma;

/// <summary>
/// Products with rows that are widened a block at a time, under either kernel set and on any number of threads, against the same matrix in
/// float64: within 1e-6 of Σ |a||b| in float32, and half a unit of the last place more where the result is rounded to bfloat16.
/// </summary>
[Collection(Alone.Name)]
public class StoredRowsTests : TorchTest
{
    private readonly Generator _generator = new(11);

    [Theory]
    [InlineData(40, 1000, 512)]                              // two blocks of rows
    [InlineData(7, 30, 500)]                                 // sizes that no tile divides
    [InlineData(3, 16, 40_000)]                              // a block is one group of rows
    public void Products_of_bfloat16_rows(int rows, int outputs, int inputs)
    {
        Tensor weight = Numbers(outputs, inputs).to(ScalarType.BFloat16);
        var stored = new BFloat16Rows(weight);
        foreach ((ScalarType dtype, double relative) in Precisions)
        {
            using var scope = NewDisposeScope();
            Tensor x = Numbers(rows, inputs).to(dtype), dy = Numbers(rows, outputs).to(dtype);
            Tensor y = Kernels.Linear(x.view(1, rows, inputs), stored, outputs)[0], dx = Kernels.MatMul(dy, stored);
            Near(y, x, weight.t(), dtype, relative);
            Near(dx, dy, weight, dtype, relative);
        }
    }

    [Fact]
    public void Grouped_products_on_one_thread_and_on_three()
    {
        long[] counts = [60, 0, 200];
        Tensor weights = Numbers(3, 256, 2048).to(ScalarType.BFloat16);
        var stored = new BFloat16Rows(weights);
        foreach ((ScalarType dtype, double relative) in Precisions)
        {
            using var scope = NewDisposeScope();
            Tensor x = Numbers(260, 2048).to(dtype), dy = Numbers(260, 256).to(dtype);
            Tensor[] All() =>
                [Kernels.GroupedLinear(x, stored, 256, counts), Kernels.GroupedMatMul(dy, stored, counts), Kernels.MatMul(dy, stored)];
            Tensor[] one = All(), three;
            try
            {
                TorchThreads.SetHere(3);
                three = All();
            }
            finally
            {
                TorchThreads.SetHere(1);
            }
            foreach (Tensor[] results in new[] { one, three })
                foreach ((int e, long first, long count) in new[] { (0, 0L, 60L), (2, 60L, 200L) })
                {
                    Near(results[0].narrow(0, first, count), x.narrow(0, first, count), weights[e].t(), dtype, relative);
                    Near(results[1].narrow(0, first, count), dy.narrow(0, first, count), weights[e], dtype, relative);
                }
            if (Kernels.HasManaged && dtype != ScalarType.Float64)
                Assert.All(one.Zip(three), pair => Assert.Equal(0, Largest(pair.First, pair.Second)));
        }
    }

    /// <summary>At an odd address and of an odd width, numbers of no finite value among them.</summary>
    [Fact]
    public unsafe void Every_bfloat16_number_is_widened_exactly()
    {
        const int Columns = 4369, Rows = 15;
        ushort[] all = [.. Enumerable.Range(0, 1 << 16).Select(i => (ushort)i)];
        float[] wide = new float[5 * Columns];
        fixed (ushort* from = all)
        fixed (float* to = wide)
        {
            using Tensor odd = NativeTensors.FromMemory(from + 1, [Rows, Columns], ScalarType.BFloat16);
            new BFloat16Rows(odd).Widen(10, 5, to);
        }
        Assert.Equal(all.Skip(1 + 10 * Columns).Select(n => (uint)n << 16), wide.Select(BitConverter.SingleToUInt32Bits));
    }

    [Fact]
    public void Rows_on_another_device_are_refused() =>
        Assert.Throws<ArgumentException>(() => Kernels.Linear(empty(4, 32, device: META), new BFloat16Rows(zeros(8, 32)), 8));

    public override void Dispose()
    {
        _generator.Dispose();
        base.Dispose();
    }

    private static (ScalarType DType, double Relative)[] Precisions =>
        [(ScalarType.Float32, 1e-6), (ScalarType.BFloat16, 1e-6), (ScalarType.Float64, 1e-14)];

    private static void Near(Tensor got, Tensor a, Tensor b, ScalarType dtype, double relative)
    {
        Assert.Equal(dtype, got.dtype);
        (a, b) = (a.to(ScalarType.Float64), b.to(ScalarType.Float64));
        Tensor expected = a.mm(b), bound = a.abs().mm(b.abs()) * relative;
        if (dtype == ScalarType.BFloat16) bound += (expected.abs() + bound) * Math.Pow(2, -8);
        Tensor excess = (got.to(ScalarType.Float64) - expected).abs() - bound;
        Assert.True(excess.max().item<double>() <= 0, $"{excess.max().item<double>()} too far");
    }

    private Tensor Numbers(params long[] shape) => randn(shape, generator: _generator);
}
