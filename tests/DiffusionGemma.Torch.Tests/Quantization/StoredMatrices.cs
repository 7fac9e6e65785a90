using static TorchSharp.torch;

namespace DiffusionGemma;

/// <summary>Random matrices in every stored form.</summary>
internal static class StoredMatrices
{
    public static TheoryData<string> Forms =>
        ["int8", "fp8", "packed8", "packed4", "packed4-asymmetric", "packed4-row", "nvfp4", "modelopt", "mxfp4", "bf16"];

    public static QuantizedMatrix Random(string form, long rows, long columns, Generator generator)
    {
        Tensor Bytes(long r, long c, int most = 256) => randint(0, most, [r, c], ScalarType.Byte, generator: generator);
        Tensor Words(long r, long bits) => NativeWords(Bytes(r, bits / 8), bits / 32);
        Tensor Scales(long groups) =>
            (rand([rows, groups], ScalarType.Float32, generator: generator) * 0.02 + 0.001).to(ScalarType.BFloat16);
        // Not the codes of what is no number.
        Tensor Float8(long c) => Bytes(rows, c, 0x7F) + Bytes(rows, c, 2) * 128;
        long groups = columns / 32;
        return form switch
        {
            "int8" => new(ElementFormat.Int8, randint(-128, 128, [rows, columns], ScalarType.Int8, generator: generator), columns,
                ScaleFormat.BFloat16, Scales(1)),
            "fp8" => new(ElementFormat.Float8, Float8(columns), columns, ScaleFormat.BFloat16, Scales(1)),
            "packed8" => new(ElementFormat.OffsetInt8, Words(rows, columns * 8), columns, ScaleFormat.BFloat16, Scales(groups)),
            "packed4" => new(ElementFormat.OffsetInt4, Words(rows, columns * 4), columns, ScaleFormat.BFloat16, Scales(groups)),
            "packed4-asymmetric" => new(
                ElementFormat.OffsetInt4, Words(rows, columns * 4), columns, ScaleFormat.Float16, Scales(groups).to(ScalarType.Float16))
            {
                ZeroPoints = Words((rows * 4 + 31) / 32, groups * 32),
            },
            "packed4-row" => new(
                ElementFormat.OffsetInt4, Words(rows, columns * 4), columns, ScaleFormat.Float32, Scales(1).to(ScalarType.Float32)),
            "nvfp4" => new(ElementFormat.Float4, Bytes(rows, columns / 2), columns, ScaleFormat.Float8, Bytes(rows, columns / 16, 0x7F))
            {
                GlobalScale = 173.5f, GlobalDivides = true,
            },
            "modelopt" => new(ElementFormat.Float4, Bytes(rows, columns / 2), columns, ScaleFormat.Float8, Bytes(rows, columns / 16, 0x7F))
            {
                GlobalScale = 0.0071f,
            },
            "mxfp4" => new(
                ElementFormat.Float4, Bytes(rows, columns / 2), columns, ScaleFormat.PowerOfTwo, Bytes(rows, groups, 20) + 110),
            _ => new(
                ElementFormat.BFloat16, randn([rows, columns], ScalarType.Float32, generator: generator).to(ScalarType.BFloat16),
                columns, ScaleFormat.None, null),
        };
    }

    /// <summary>The values one by one, by the definition.</summary>
    public static unsafe Tensor Values(QuantizedMatrix matrix)
    {
        QuantizedRows view = matrix.View();
        var values = new float[matrix.Rows * matrix.Columns];
        for (long n = 0; n < values.Length; n++) values[n] = view.Value(n / matrix.Columns, n % matrix.Columns);
        return tensor(values).view(matrix.Rows, matrix.Columns);
    }

    /// <summary>Bytes [r, 4n] as int32 [r, n].</summary>
    private static unsafe Tensor NativeWords(Tensor bytes, long words)
    {
        Tensor result = empty(bytes.shape[0], words, ScalarType.Int32);
        Buffer.MemoryCopy(NativeTensors.Data(bytes), NativeTensors.Data(result), bytes.numel(), bytes.numel());
        GC.KeepAlive(bytes);
        return result;
    }
}
