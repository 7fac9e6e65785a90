using TorchSharp;
using static TorchSharp.torch;

namespace DiffusionGemma;

/// <summary>
/// libtorch's grouped product, which takes the ends of the experts' rows from the device, against one product for each expert in float64,
/// within n roundings of half a unit: n · 2⁻²⁴ · Σ |a||b|, or 2⁻⁸ in bfloat16. On a GPU float32 goes through libtorch's own fallback.
/// </summary>
public class GroupedProductsTests : TorchTest
{
    private static readonly Device Meta = new(DeviceType.META);
    private readonly Generator _generator = new(7);

    public static TheoryData<ScalarType, long[]> Cases()
    {
        var data = new TheoryData<ScalarType, long[]>();
        foreach (ScalarType dtype in new[] { ScalarType.Float32, ScalarType.BFloat16 })
            foreach (long[] counts in new long[][] { [3, 0, 5, 1], [0, 0, 9], [1], [0, 4], [2, 2, 2, 2, 2, 2, 2, 2], [0, 0] })
                data.Add(dtype, counts);
        return data;
    }

    [Theory]
    [MemberData(nameof(Cases))]
    public void Products_equal_one_for_each_expert(ScalarType dtype, long[] counts)
    {
        const long outputs = 24, inputs = 16;
        Tensor Draw(params long[] shape) => randn(shape, ScalarType.Float32, generator: _generator).to(dtype).to(TestDevice.Current);
        Tensor weights = Draw(counts.Length, outputs, inputs), x = Draw(counts.Sum(), inputs), dy = Draw(counts.Sum(), outputs);
        Tensor buffers = Draw(counts.Length, outputs, inputs).to(ScalarType.Float32), toBuffers = buffers.clone();
        ExpertRows rows = Rows(counts);

        Tensor y = Kernels.GroupedLinear(x, weights, rows), dx = Kernels.GroupedMatMul(dy, weights, rows), twice = dx.clone();
        Kernels.GroupedAddMatMul(twice, dy, weights, rows);
        Kernels.GroupedAddOuter(toBuffers, dy, x, rows);

        Assert.Equal((dtype, dtype), (y.dtype, dx.dtype));
        (Tensor wide, Tensor wideX, Tensor wideDy) = (Wide(weights), Wide(x), Wide(dy));
        Tensor[] ofX = wideX.split(counts, 0), ofDy = wideDy.split(counts, 0);
        Near(y, cat([.. ofX.Select((own, e) => own.mm(wide[e].t()))], 0), dtype);
        Tensor plain = cat([.. ofDy.Select((own, e) => own.mm(wide[e]))], 0);
        Near(dx, plain, dtype);
        Near(twice, plain * 2, dtype);
        Near(toBuffers, Wide(buffers) + stack(ofDy.Select((own, e) => own.t().mm(ofX[e]))), dtype);
    }

    /// <summary>Stacks in every stored form, several experts widened together where their forms are alike.</summary>
    [Theory]
    [MemberData(nameof(StoredMatrices.Forms), MemberType = typeof(StoredMatrices))]
    public void Quantised_stacks_are_widened(string form)
    {
        long[] counts = [3, 0, 5];
        QuantizedMatrix[][] slices = [.. counts.Select(_ => new[]
        {
            StoredMatrices.Random(form, 8, 64, _generator), StoredMatrices.Random(form, 16, 64, _generator),
        })];
        StoredWeight stack = StoredWeight.QuantizedStack(slices);
        Tensor x = randn(8, 64, generator: _generator), dy = randn(8, 24, generator: _generator);
        foreach (ScalarType dtype in new[] { ScalarType.Float32, ScalarType.BFloat16 })
        {
            Tensor[] values = [.. slices.Select(slice => Wide(cat([.. slice.Select(StoredMatrices.Values)], 0).to(dtype)))];
            (Tensor narrowX, Tensor narrowDy) = (x.to(dtype), dy.to(dtype));
            ExpertRows rows = ExpertRows.OnDevice(tensor(new[] { 3, 3, 8 }));
            Tensor[] ofX = Wide(narrowX).split(counts, 0), ofDy = Wide(narrowDy).split(counts, 0);
            Near(Kernels.GroupedLinear(narrowX, stack, rows), cat([.. ofX.Select((own, e) => own.mm(values[e].t()))], 0), dtype);
            Near(Kernels.GroupedMatMul(narrowDy, stack, rows), cat([.. ofDy.Select((own, e) => own.mm(values[e]))], 0), dtype);
        }
    }

    [Fact]
    public void The_form_for_meta_has_the_operators_values()
    {
        Tensor Draw(params long[] shape) => randn(shape, ScalarType.Float32, generator: _generator);
        Tensor a = Draw(9, 8), b = Draw(4, 8, 12), across = Draw(9, 8).t(), inner = Draw(9, 12), ends = tensor(new[] { 3, 3, 8, 9 });
        Assert.InRange(Largest(MetaForms.GroupedMatMul(a, b, ends), TorchOperators.GroupedMatMul(a, b, ends)), 0, 1e-5);
        Assert.InRange(Largest(MetaForms.GroupedMatMul(across, inner, ends), TorchOperators.GroupedMatMul(across, inner, ends)), 0, 1e-5);
        Tensor y = TorchOperators.GroupedMatMul(a.to(Meta), b.to(Meta), ends.to(Meta));
        Assert.Equal((DeviceType.META, 9, 12), (y.device_type, y.shape[0], y.shape[1]));
        Assert.Throws<InvalidOperationException>(() => TorchOperators.GroupedMatMul(a.to(Meta), b.to(Meta), ends));
    }

    [Fact]
    public void Rows_are_counted_where_they_are()
    {
        Tensor ids = tensor(new long[,] { { 2, 0 }, { 0, 5 }, { 2, 0 } });
        ExpertRows rows = ExpertRows.CountOnDevice(ids, 7);
        Assert.Equal([3, 3, 5, 5, 5, 6, 6], rows.Ends!.data<int>().ToArray());
        Assert.Equal(7, rows.Experts);
        Assert.Contains("on the device", Assert.Throws<InvalidOperationException>(() => rows.Counts).Message, StringComparison.Ordinal);
        Assert.Equal([2, 2, 2], rows.Slice(2, 3, 3).Ends!.data<int>().ToArray());
        Assert.Equal([2L, 0], ExpertRows.OnHost([3, 2, 0]).Slice(1, 2, 3).Counts);
    }

    [Theory]
    [InlineData(DeviceType.META, ScalarType.BFloat16, 2816, 704, true)]
    [InlineData(DeviceType.META, ScalarType.Float32, 2816, 704, false)]
    [InlineData(DeviceType.META, ScalarType.BFloat16, 2816, 700, false)]                     // rows of no multiple of 16 bytes
    [InlineData(DeviceType.CPU, ScalarType.BFloat16, 2816, 704, false)]                      // slower there than a product for each expert
    public void The_form_is_chosen_by_device_dtype_and_sizes(DeviceType device, ScalarType dtype, long hidden, long inner, bool serves) =>
        Assert.Equal(serves, GroupedProducts.Serve(new Device(device), dtype, hidden, inner));

    [Fact]
    public void Ranks_are_padded_to_16_bytes()
    {
        Assert.Equal([8L, 8, 16, 24], new long[] { 1, 8, 16, 17 }.Select(rank => GroupedProducts.PaddedRank(rank, ScalarType.BFloat16)));
        Assert.Equal([4L, 4, 8], new long[] { 1, 4, 5 }.Select(rank => GroupedProducts.PaddedRank(rank, ScalarType.Float32)));
    }

    public override void Dispose()
    {
        _generator.Dispose();
        base.Dispose();
    }

    private static ExpertRows Rows(long[] counts)
    {
        int end = 0;
        return ExpertRows.OnDevice(tensor(counts.Select(count => end += (int)count).ToArray(), device: TestDevice.Current));
    }

    private static Tensor Wide(Tensor tensor) => tensor.to(CPU).to(ScalarType.Float64);

    private static void Near(Tensor got, Tensor expected, ScalarType dtype)
    {
        if (expected.numel() == 0) return;
        double unit = dtype == ScalarType.BFloat16 ? Math.Pow(2, -8) : Math.Pow(2, -20);
        Assert.InRange(Largest(got, expected), 0, 2 * unit * Math.Max(1, expected.abs().max().item<double>()));
    }
}
