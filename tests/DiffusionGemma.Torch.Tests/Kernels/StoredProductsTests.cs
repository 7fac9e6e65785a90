using static TorchSharp.torch;

namespace DiffusionGemma;

/// <summary>
/// Products with stored weights against the same products with their values in float64, within what n roundings of half a unit can do:
/// n · 2⁻²⁴ · Σ |a||b|. At every width that the processor has.
/// </summary>
public class StoredProductsTests : TorchTest
{
    private readonly Generator _generator = new(11);

    public static TheoryData<string> Forms => StoredMatrices.Forms;

    [Theory]
    [MemberData(nameof(Forms))]
    public void Values_widened_together_are_those_of_the_definition(string form)
    {
        foreach ((long rows, long columns) in new[] { (8L, 64L), (13, 96), (64, 1056) })
        {
            using var scope = NewDisposeScope();
            QuantizedMatrix matrix = StoredMatrices.Random(form, rows, columns, _generator);
            Tensor values = StoredMatrices.Values(matrix);
            Assert.True(values.isfinite().all().item<bool>());
            Assert.Equal(0, Largest(Kernels.Dequantize(matrix, ScalarType.Float32), values));
            Assert.Equal(0, Largest(Kernels.Dequantize(matrix, ScalarType.BFloat16), values.to(ScalarType.BFloat16)));
            Assert.Equal(0, Largest(DeviceProducts.Widen(matrix, ScalarType.Float32), values));
            Assert.Equal(0, Largest(
                Some(StoredWeight.Quantized(matrix, matrix), rows - 2, 4), values[tensor(new long[] { rows - 2, rows - 1, 0, 1 })]));
        }
    }

    [Theory]
    [MemberData(nameof(Forms))]
    public void Managed_products_equal_those_with_the_values(string form)
    {
        foreach (VectorKernels vectors in VectorKernels.Supported)
            foreach ((long[] counts, long outputs, long inputs) in Cases())
            {
                using var scope = NewDisposeScope();
                var kernels = new ManagedKernels(vectors);
                QuantizedMatrix[][] slices = [.. counts.Select(_ => new[]
                {
                    StoredMatrices.Random(form, outputs, inputs, _generator), StoredMatrices.Random(form, 2 * outputs, inputs, _generator),
                })];
                Tensor x = randn(counts.Sum(), inputs, generator: _generator), dy = randn(counts.Sum(), 3 * outputs, generator: _generator);
                Tensor y = full(counts.Sum(), 3 * outputs, 7f), dx = full(counts.Sum(), inputs, 7f);
                var stored = new QuantizedWeightRows(StoredWeight.QuantizedStack(slices));
                Assert.True(kernels.TryLinear(x, stored, 3 * outputs, counts, y));
                Assert.True(kernels.TryMatMul(dy, stored, counts, dx));
                Near(slices, counts, x, y, dy, dx, inputs, 3 * outputs);
            }
    }

    [Theory]
    [MemberData(nameof(Forms))]
    public void Products_of_other_devices_equal_those_with_the_values(string form)
    {
        foreach ((long[] counts, long outputs, long inputs) in Cases())
            foreach (ScalarType dtype in new[] { ScalarType.Float32, ScalarType.Float64 })
            {
                using var scope = NewDisposeScope();
                QuantizedMatrix[][] slices = [.. counts.Select(_ => new[] { StoredMatrices.Random(form, outputs, inputs, _generator) })];
                StoredWeight weight = StoredWeight.QuantizedStack(slices);
                Tensor x = randn(counts.Sum(), inputs, generator: _generator).to(dtype);
                Tensor dy = randn(counts.Sum(), outputs, generator: _generator).to(dtype);
                Tensor y = empty(counts.Sum(), outputs, dtype: dtype), dx = DeviceProducts.MatMul(dy, weight, counts);
                DeviceProducts.LinearInto(x, weight, counts, y);
                Near(slices, counts, x, y, dy, dx, inputs, outputs);
            }
    }

    /// <summary>Sizes that managed kernels take and sizes that they do not, in every dtype that is computed in.</summary>
    [Theory]
    [MemberData(nameof(Forms))]
    public void Layers_read_stored_weights_in_every_dtype(string form)
    {
        foreach ((long outputs, long inputs) in new[] { (64L, 96L), (7, 96), (40, 32) })
            foreach (ScalarType dtype in new[] { ScalarType.Float32, ScalarType.Float64, ScalarType.BFloat16 })
            {
                using var scope = NewDisposeScope();
                QuantizedMatrix matrix = StoredMatrices.Random(form, outputs, inputs, _generator);
                StoredWeight weight = StoredWeight.Quantized(matrix);
                Tensor values = StoredMatrices.Values(matrix).to(dtype), x = randn(2, 5, inputs, generator: _generator).to(dtype);
                Tensor dy = randn(3, outputs, generator: _generator).to(dtype), ids = tensor(new long[] { outputs - 1, 0, 3 });
                double tolerance = dtype == ScalarType.Float64 ? 1e-12 : dtype == ScalarType.Float32 ? 1e-5 : 0.02;
                double scale = values.abs().max().to(ScalarType.Float64).item<double>() * Math.Sqrt(inputs + outputs) * 4;
                Assert.InRange(Largest(Kernels.Linear(x, weight), nn.functional.linear(x, values)), 0, tolerance * scale);
                Assert.InRange(Largest(Kernels.MatMul(dy, weight), dy.mm(values)), 0, tolerance * scale);
                if (matrix.ZeroPoints is null)
                    Assert.Equal(0, Largest(Kernels.SelectRows(weight, ids, dtype), values.index_select(0, ids)));
            }
    }

    /// <summary>A frozen bfloat16 tensor under a wider compute type is read as it is.</summary>
    [Fact]
    public void Narrow_tensors_are_read_as_they_are()
    {
        long[] counts = [3, 0, 5];
        Tensor narrow = randn(3, 16, 64, generator: _generator).to(ScalarType.BFloat16);
        foreach (ScalarType dtype in new[] { ScalarType.Float32, ScalarType.Float64 })
        {
            Tensor x = randn(8, 64, generator: _generator).to(dtype), dy = randn(8, 16, generator: _generator).to(dtype);
            Tensor wide = narrow.to(dtype);
            Assert.InRange(
                Largest(Kernels.GroupedLinear(x, (StoredWeight)narrow, counts), Kernels.GroupedLinear(x, wide, counts)), 0, 1e-5);
            Assert.InRange(
                Largest(Kernels.GroupedMatMul(dy, (StoredWeight)narrow, counts), Kernels.GroupedMatMul(dy, wide, counts)), 0, 1e-5);
            Assert.InRange(Largest(Kernels.Linear(x, (StoredWeight)narrow[1]), Kernels.Linear(x, wide[1])), 0, 1e-5);
            Assert.InRange(Largest(Kernels.MatMul(dy, (StoredWeight)narrow[1]), Kernels.MatMul(dy, wide[1])), 0, 1e-5);
        }
    }

    /// <summary>Rows of a weight of several matrices.</summary>
    private static unsafe Tensor Some(StoredWeight weight, long first, long count)
    {
        Tensor rows = empty(count, weight.Shape[^1], dtype: ScalarType.Float32);
        new QuantizedWeightRows(weight).Widen(first, count, (float*)NativeTensors.Data(rows));
        return rows;
    }

    private static IEnumerable<(long[] Counts, long Outputs, long Inputs)> Cases() =>
        [([5], 24, 64), ([1, 0, 7, 2], 8, 96), ([300], 16, 544), ([4, 9], 128, 1056)];

    private static void Near(
        QuantizedMatrix[][] slices, long[] counts, Tensor x, Tensor y, Tensor dy, Tensor dx, long inputs, long outputs)
    {
        long start = 0;
        for (int e = 0; e < counts.Length; start += counts[e++])
        {
            if (counts[e] == 0) continue;
            Tensor w = cat([.. slices[e].Select(StoredMatrices.Values)], 0).to(ScalarType.Float64);
            Tensor Rows(Tensor tensor) => tensor.narrow(0, start, counts[e]).to(ScalarType.Float64);
            Within(Rows(y), Rows(x), w.t(), inputs);
            Within(Rows(dx), Rows(dy), w, outputs);
        }
    }

    private static void Within(Tensor got, Tensor a, Tensor b, long terms)
    {
        Tensor allowed = a.abs().mm(b.abs()) * (terms + 4) * Math.Pow(2, -24);
        Assert.True((got - a.mm(b)).abs().le(allowed).all().item<bool>());
    }
}
