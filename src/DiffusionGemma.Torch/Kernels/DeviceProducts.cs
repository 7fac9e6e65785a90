using static TorchSharp.torch;

namespace DiffusionGemma;

/// <summary>
/// Products with quantised weights by libtorch's operators, where the memory is not the CPU's: one matrix at a time is widened and
/// multiplied.
/// </summary>
internal static class DeviceProducts
{
    /// <summary>y = x W_eᵀ for each expert's rows of x.</summary>
    public static void LinearInto(Tensor x, StoredWeight weight, long[] counts, Tensor y) =>
        ForMatrices(weight, counts, x.dtype, (start, count, output, matrix) =>
        {
            Tensor rows = x.narrow(0, start, count), result = y.narrow(0, start, count).narrow(1, output, matrix.shape[0]);
            result.addmm_(rows, matrix.t(), beta: 0, alpha: 1);
        });

    /// <summary>y = a W_e for each expert's rows of a.</summary>
    /// <returns>[N,in].</returns>
    public static Tensor MatMul(Tensor a, StoredWeight weight, long[] counts)
    {
        Tensor y = zeros(a.shape[0], weight.Shape[^1], dtype: a.dtype, device: a.device);
        ForMatrices(weight, counts, a.dtype, (start, count, output, matrix) =>
        {
            Tensor rows = a.narrow(0, start, count).narrow(1, output, matrix.shape[0]);
            y.narrow(0, start, count).addmm_(rows, matrix, beta: 1, alpha: 1);
        });
        return y;
    }

    private static void ForMatrices(StoredWeight weight, long[] counts, ScalarType dtype, Action<long, long, long, Tensor> visit)
    {
        long start = 0;
        for (int e = 0; e < counts.Length; start += counts[e++])
        {
            if (counts[e] == 0) continue;
            using var scope = NewDisposeScope();
            if (weight.Tensor is { } tensor)
            {
                visit(start, counts[e], 0, (tensor.dim() == 3 ? tensor.select(0, e) : tensor).to(dtype));
                continue;
            }
            long output = 0;
            foreach (QuantizedMatrix part in weight.Slices[e])
            {
                visit(start, counts[e], output, Widen(part, dtype));
                output += part.Rows;
            }
        }
    }

    /// <summary>Computes the values of a matrix [rows,columns] by elementwise operators, in float32, and rounds them once.</summary>
    public static Tensor Widen(QuantizedMatrix matrix, ScalarType dtype)
    {
        using var scope = NewDisposeScope();
        Tensor codes = matrix.Codes;
        long rows = matrix.Rows;
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
            Tensor zeros = Unpack(packed.t().contiguous(), 32, bits).t().narrow(0, 0, rows).to(ScalarType.Float32);
            numbers = numbers.sub_(zeros.unsqueeze(-1));
        }
        else if (matrix.Elements is ElementFormat.OffsetInt4 or ElementFormat.OffsetInt8) numbers = numbers.sub_(1 << (bits - 1));
        Tensor scales = matrix.Scales!;
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
        TorchOperators.SelectRows(HostCopy.Send(tensor(values, device: CPU), codes.device), codes.flatten().to(ScalarType.Int64))
            .view(codes.shape);

    /// <summary>Splits words [N,n] into numbers of fewer bits [N, n · word / bits], the lowest bits first.</summary>
    private static Tensor Unpack(Tensor words, int word, int bits)
    {
        Tensor shifts = arange(0, word, bits, dtype: ScalarType.Int32, device: words.device);
        return (words.to(ScalarType.Int32).unsqueeze(-1).bitwise_right_shift(shifts) & ((1 << bits) - 1)).flatten(-2);
    }
}
