using static TorchSharp.torch;

namespace DiffusionGemma;

/// <summary>The door itself, under either set: any shape, stride and dtype gets a result.</summary>
[Collection(Alone.Name)]
public class KernelsTests : TorchTest
{
    private readonly Generator _generator = new(7);

    [Theory]
    [InlineData(64, 32, 512)]                                // sizes that every tile divides
    [InlineData(64, 30, 512)]
    [InlineData(64, 32, 500)]
    [InlineData(7, 40, 2816)]
    public void Products_of_any_size(int rows, int outputs, int inputs)
    {
        foreach ((ScalarType dtype, double relative) in new[] { (ScalarType.Float32, 1e-6), (ScalarType.BFloat16, 8e-3),
            (ScalarType.Float64, 1e-14) })
        {
            using var scope = NewDisposeScope();
            Tensor x = Numbers(rows, inputs).to(dtype), weight = Numbers(outputs, inputs).to(dtype), dy = Numbers(rows, outputs).to(dtype);
            Near(Kernels.Linear(x.view(1, rows, inputs), weight)[0], x, weight.t(), relative);
            Tensor across = Numbers(inputs, rows).to(dtype).t(), into = empty(rows, outputs, dtype: dtype);
            Near(Kernels.Linear(across, weight), across, weight.t(), relative);
            Kernels.LinearInto(x, weight, into);
            Near(into, x, weight.t(), relative);
            Near(Kernels.MatMul(dy, weight), dy, weight, relative);
            Kernels.AddMatMul(into, x, weight.t());
            Near(into, cat([x, x], 1), cat([weight.t(), weight.t()], 0), relative);
            Tensor buffer = zeros(outputs, inputs, dtype: dtype == ScalarType.BFloat16 ? ScalarType.Float32 : dtype);
            Kernels.AddOuter(buffer, dy, x);
            Near(buffer, dy.t(), x, relative);
            Tensor narrow = zeros(outputs, 16, dtype: buffer.dtype);
            Kernels.AddOuter(narrow, dy, x.narrow(1, 0, 16).contiguous());
            Near(narrow, dy.t(), x.narrow(1, 0, 16), relative);
        }
    }

    [Fact]
    public void Grouped_products()
    {
        long[] counts = [3, 0, 9];
        foreach ((ScalarType dtype, double relative) in new[] { (ScalarType.Float32, 1e-6), (ScalarType.BFloat16, 8e-3),
            (ScalarType.Float64, 1e-14) })
        {
            using var scope = NewDisposeScope();
            Tensor x = Numbers(12, 48).to(dtype), weights = Numbers(3, 32, 48).to(dtype), dy = Numbers(12, 32).to(dtype);
            Tensor buffers = zeros(3, 32, 48, dtype: dtype == ScalarType.BFloat16 ? ScalarType.Float32 : dtype);
            Tensor y = Kernels.GroupedLinear(x, weights, counts), dx = Kernels.GroupedMatMul(dy, weights, counts);
            Kernels.GroupedAddOuter(buffers, dy, x, counts);
            Tensor twice = dx.clone();
            Kernels.GroupedAddMatMul(twice, dy, weights, counts);
            foreach ((int e, long first, long count) in new[] { (0, 0L, 3L), (2, 3L, 9L) })
            {
                Near(y.narrow(0, first, count), x.narrow(0, first, count), weights[e].t(), relative);
                Near(dx.narrow(0, first, count), dy.narrow(0, first, count), weights[e], relative);
                Near(twice.narrow(0, first, count), dy.narrow(0, first, count), weights[e] * 2, 2 * relative);
                Near(buffers[e], dy.narrow(0, first, count).t(), x.narrow(0, first, count), relative);
            }
            Assert.Equal(0, buffers[1].abs().max().to(ScalarType.Float64).item<double>());
        }
    }

    /// <summary>In denoising a row's answer must not change with the rows that happen to be in its batch.</summary>
    [Fact]
    public void A_row_does_not_depend_on_the_rows_beside_it()
    {
        Assert.SkipUnless(Kernels.HasManaged, "libtorch's products differ with the number of rows.");
        Assert.SkipWhen(VectorKernels.Supported.Count == 0, "This processor has no fused multiply-add.");
        Tensor x = Numbers(400, 512), weight = Numbers(768, 512), dy = Numbers(400, 768), low = Numbers(400, 16), wide = Numbers(16, 768);
        Tensor experts = Numbers(2, 128, 512);
        // Sizes that are no whole registers, as those of a low rank.
        Tensor oddWeight = Numbers(5, 512), oddBack = Numbers(16, 77), oddInput = Numbers(24, 16).narrow(1, 0, 11).contiguous();
        Tensor oddExperts = Numbers(2, 3, 512), oddExpertsBack = Numbers(2, 16, 33);
        Tensor[] All(Tensor x, Tensor dy, Tensor low)
        {
            Tensor added = dy.clone();
            Kernels.AddMatMul(added, low, wide, batchInvariant: true);
            Tensor odd = dy.narrow(1, 0, 77).clone(), ofExpert = dy.narrow(1, 0, 33).clone();
            Kernels.AddMatMul(odd, low, oddBack, batchInvariant: true);
            Kernels.GroupedAddMatMul(ofExpert, low, oddExpertsBack, [x.shape[0], 0], batchInvariant: true);
            Tensor into = empty(x.shape[0], 5);
            Kernels.LinearInto(x, oddWeight, into);
            return
            [
                odd, ofExpert, into, Kernels.Linear(x, oddWeight, batchInvariant: true),
                Kernels.Linear(low.narrow(1, 0, 11), oddInput, batchInvariant: true), Kernels.MatMul(low, oddBack, batchInvariant: true),
                Kernels.GroupedLinear(x, oddExperts, [x.shape[0], 0], batchInvariant: true),
                Kernels.Linear(x, weight, batchInvariant: true), Kernels.MatMul(dy, weight, batchInvariant: true), added,
                Kernels.GroupedLinear(x, experts, [x.shape[0], 0], batchInvariant: true),
            ];
        }
        Tensor[] together = All(x, dy, low);
        Near(together[5], low, oddBack, 1e-5);
        Near(together[2], x, oddWeight.t(), 1e-5);
        Near(together[4], low.narrow(1, 0, 11), oddInput.t(), 1e-5);
        foreach (int row in new[] { 0, 1, 64, 399 })
        {
            Tensor[] alone = All(x.narrow(0, row, 1), dy.narrow(0, row, 1), low.narrow(0, row, 1));
            Assert.All(alone.Zip(together), pair => Assert.Equal(0, Largest(pair.First, pair.Second.narrow(0, row, 1))));
        }
    }

    /// <summary>Sizes on both sides of every number of rows at which the table changes forms, and sizes that no tile divides.</summary>
    [Fact]
    public void Several_threads_change_no_bit()
    {
        Assert.SkipUnless(Kernels.HasManaged, "libtorch divides a product among threads in its own way.");
        Tensor[] expected = [.. Products()];
        foreach (int threads in new[] { 2, 3 })
        {
            try
            {
                TorchThreads.SetHere(threads);
                Assert.All(expected.Zip(Products()), pair => Assert.Equal(0, Largest(pair.First, pair.Second)));
            }
            finally
            {
                TorchThreads.SetHere(1);
            }
        }
    }

    private IEnumerable<Tensor> Products()
    {
        using var generator = new Generator(3);
        Tensor Draw(params long[] shape) => randn(shape, generator: generator);
        foreach ((long rows, long outputs, long inputs) in new[] { (20L, 512L, 256L), (384, 768, 512), (150, 250, 501), (130, 4096, 64) })
        {
            Tensor x = Draw(rows, inputs), weight = Draw(outputs, inputs), dy = Draw(rows, outputs), added = Draw(rows, inputs);
            Kernels.AddMatMul(added, dy, weight);
            Tensor buffer = Draw(outputs, inputs), narrow = Draw(outputs, 16);
            Kernels.AddOuter(buffer, dy, x);
            Kernels.AddOuter(narrow, dy, x.narrow(1, 0, 16).contiguous());
            foreach (Tensor one in new[] { Kernels.Linear(x, weight), Kernels.MatMul(dy, weight), added, buffer, narrow }) yield return one;
        }
        foreach (long[] counts in new long[][] { [3, 0, 9], [200, 90, 1] })
        {
            Tensor x = Draw(counts.Sum(), 512), weights = Draw(3, 256, 512), dy = Draw(counts.Sum(), 256), added = Draw(counts.Sum(), 512);
            Tensor buffers = Draw(3, 256, 512);
            Kernels.GroupedAddOuter(buffers, dy, x, counts);
            Kernels.GroupedAddMatMul(added, dy, weights, counts);
            yield return Kernels.GroupedLinear(x, weights, counts);
            yield return Kernels.GroupedMatMul(dy, weights, counts);
            yield return added;
            yield return buffers;
        }
    }

    /// <summary>A tensor without memory reaches libtorch's forms, which compute its shape.</summary>
    [Fact]
    public void Tensors_elsewhere_take_libtorchs_forms()
    {
        Tensor x = empty(4, 32, device: META), weight = empty(16, 32, device: META);
        Assert.Equal([4, 16], Kernels.Linear(x, weight).shape);
        Assert.Equal([4, 32], Kernels.RmsNorm(x, empty(32, device: META), 1e-6).shape);
        Assert.Equal([4, 32], Kernels.GatedGelu(x, x).shape);
    }

    [Theory]
    [InlineData(null, KernelSet.Managed)]
    [InlineData("", KernelSet.Managed)]
    [InlineData("managed", KernelSet.Managed)]
    [InlineData("LibTorch", KernelSet.LibTorch)]
    [InlineData("libtorch", KernelSet.LibTorch)]
    internal void A_set_by_its_name(string? value, KernelSet expected) => Assert.Equal(expected, Kernels.Parse(value));

    [Theory]
    [InlineData("avx")]
    [InlineData("1")]
    public void Other_names_say_what_there_is(string value)
    {
        string message = Assert.Throws<InvalidOperationException>(() => Kernels.Parse(value)).Message;
        Assert.Contains(Kernels.Variable, message, StringComparison.Ordinal);
        Assert.Contains("Managed or LibTorch", message, StringComparison.Ordinal);
    }

    public override void Dispose()
    {
        _generator.Dispose();
        base.Dispose();
    }

    /// <summary>Within so much of Σ |a||b|.</summary>
    private static void Near(Tensor got, Tensor a, Tensor b, double relative)
    {
        (a, b) = (a.to(ScalarType.Float64), b.to(ScalarType.Float64));
        Tensor excess = (got.to(ScalarType.Float64) - a.mm(b)).abs() - a.abs().mm(b.abs()) * relative;
        Assert.True(excess.max().item<double>() <= 0, $"{excess.max().item<double>()} too far");
    }

    private Tensor Numbers(params long[] shape) => randn(shape, generator: _generator);
}
