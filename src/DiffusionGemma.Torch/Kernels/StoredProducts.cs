using TorchSharp;
using static TorchSharp.torch;

namespace DiffusionGemma;

/// <summary>
/// Products with stored weights by libtorch's operators, in any dtype and on any device: some rows of a weight at a time are widened and
/// multiplied.
/// </summary>
internal static class StoredProducts
{
    /// <summary>Numbers that are widened at once on a CPU: they stay in a core's own cache.</summary>
    private const long BlockElements = 1 << 16;

    /// <summary>y = x W_eᵀ for each expert's rows of x.</summary>
    public static void LinearInto(Tensor x, StoredWeight weight, long[] counts, Tensor y) =>
        ForBlocks(weight, counts, x.dtype, (start, count, output, block) =>
        {
            Tensor rows = x.narrow(0, start, count), result = y.narrow(0, start, count).narrow(1, output, block.shape[0]);
            result.addmm_(rows, block.t(), beta: 0, alpha: 1);
        });

    /// <summary>y = a W_e for each expert's rows of a.</summary>
    public static void MatMulInto(Tensor a, StoredWeight weight, long[] counts, Tensor y)
    {
        y.zero_();
        ForBlocks(weight, counts, a.dtype, (start, count, output, block) =>
        {
            Tensor rows = a.narrow(0, start, count).narrow(1, output, block.shape[0]);
            y.narrow(0, start, count).addmm_(rows, block, beta: 1, alpha: 1);
        });
    }

    /// <summary>Widened rows of a stored weight, by their numbers.</summary>
    public static Tensor SelectRows(StoredWeight weight, Tensor ids, ScalarType dtype)
    {
        using var scope = NewDisposeScope();
        QuantizedMatrix matrix = weight.Slices is [[var only]] ? only
            : throw new NotSupportedException("Rows are selected of a weight that is one matrix.");
        using QuantizedMatrix chosen = matrix.ZeroPoints is null ? matrix.Map(tensor => tensor.index_select(0, ids))
            : throw new NotSupportedException("Rows are selected of a symmetric matrix.");
        return Widen(chosen, 0, chosen.Rows, dtype).MoveToOuterDisposeScope();
    }

    /// <summary>Rows of a matrix, computed in float32 and rounded once.</summary>
    public static unsafe Tensor Widen(QuantizedMatrix matrix, long row, long rows, ScalarType dtype)
    {
        if (matrix.Device.type != DeviceType.CPU) return WidenOnDevice(matrix, row, rows, dtype);
        Tensor values = empty(rows, matrix.Columns, dtype: ScalarType.Float32);
        WideningRows.Run(matrix.View(), row, rows, 0, matrix.Columns, (float*)NativeTensors.Data(values));
        GC.KeepAlive(matrix);
        if (dtype == ScalarType.Float32) return values;
        using (values) return values.to(dtype);
    }

    private static void ForBlocks(StoredWeight weight, long[] counts, ScalarType dtype, Action<long, long, long, Tensor> visit)
    {
        long start = 0, inputs = weight.Shape[^1], outputs = weight.Shape[^2];
        long most = weight.Device.type == DeviceType.CPU ? Math.Max(1, BlockElements / inputs) : outputs;
        for (int e = 0; e < counts.Length; start += counts[e++])
        {
            if (counts[e] == 0) continue;
            if (weight.Tensor is { } tensor)
            {
                using var scope = NewDisposeScope();
                Tensor matrix = tensor.dim() == 3 ? tensor.select(0, e) : tensor;
                Blocks(outputs, (row, rows) => matrix.narrow(0, row, rows).to(dtype), 0, e);
                continue;
            }
            long output = 0;
            foreach (QuantizedMatrix part in weight.Slices[e])
            {
                Blocks(part.Rows, (row, rows) => Widen(part, row, rows, dtype), output, e);
                output += part.Rows;
            }
        }

        void Blocks(long rows, Func<long, long, Tensor> widen, long output, int e)
        {
            for (long row = 0; row < rows; row += most)
            {
                using var scope = NewDisposeScope();
                visit(start, counts[e], output + row, widen(row, Math.Min(most, rows - row)));
            }
        }
    }

    /// <summary>The same by elementwise operators, where the memory is not the CPU's.</summary>
    private static Tensor WidenOnDevice(QuantizedMatrix matrix, long row, long rows, ScalarType dtype)
    {
        using var scope = NewDisposeScope();
        Tensor codes = matrix.Codes.narrow(0, row, rows);
        if (matrix.Elements == ElementFormat.BFloat16) return codes.to(dtype).MoveToOuterDisposeScope();
        int bits = QuantizedRows.BitsOf(matrix.Elements);
        Tensor numbers = matrix.Elements switch
        {
            ElementFormat.Int8 => codes.to(ScalarType.Float32),
            ElementFormat.Float8 => Table([.. Enumerable.Range(0, 256).Select(code => SmallFloats.Float8((byte)code))], codes),
            ElementFormat.Float4 => Table(SmallFloats.Float4.ToArray(), Unpack(codes, 8, 4)),
            _ => Unpack(codes, 32, bits).narrow(1, 0, matrix.Columns).to(ScalarType.Float32),
        };
        numbers = numbers.view(rows, matrix.Groups, matrix.GroupSize);
        if (matrix.ZeroPoints is { } packed)
        {
            // Packed along the rows: word w holds rows w · 32 / bits and after it.
            Tensor zeros = Unpack(packed.t().contiguous(), 32, bits).t().narrow(0, row, rows).to(ScalarType.Float32);
            numbers = numbers.sub_(zeros.unsqueeze(-1));
        }
        else if (matrix.Elements is ElementFormat.OffsetInt4 or ElementFormat.OffsetInt8) numbers = numbers.sub_(1 << (bits - 1));
        Tensor scales = matrix.Scales!.narrow(0, row, rows);
        scales = matrix.ScaleFormat switch
        {
            ScaleFormat.Float8 => Table([.. Enumerable.Range(0, 256).Select(code => SmallFloats.Float8((byte)code))], scales),
            ScaleFormat.PowerOfTwo => Table([.. Enumerable.Range(0, 256).Select(code => SmallFloats.PowerOfTwo((byte)code))], scales),
            _ => scales.to(ScalarType.Float32),
        };
        if (matrix.GlobalScale != 1) scales = matrix.GlobalDivides ? scales / matrix.GlobalScale : scales * matrix.GlobalScale;
        return (numbers * scales.unsqueeze(-1)).view(rows, matrix.Columns).to(dtype).MoveToOuterDisposeScope();
    }

    private static Tensor Table(float[] values, Tensor codes) =>
        tensor(values, device: codes.device).index_select(0, codes.flatten().to(ScalarType.Int64)).view(codes.shape);

    /// <summary>Splits words [N,n] into numbers of fewer bits [N, n · word / bits], the lowest bits first.</summary>
    private static Tensor Unpack(Tensor words, int word, int bits)
    {
        Tensor shifts = arange(0, word, bits, dtype: ScalarType.Int32, device: words.device);
        return (words.to(ScalarType.Int32).unsqueeze(-1).bitwise_right_shift(shifts) & ((1 << bits) - 1)).flatten(-2);
    }
}
