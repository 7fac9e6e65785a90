using static TorchSharp.torch;

namespace DiffusionGemma;

/// <summary>
/// The safetensors format's names of dtypes, with the dtype that libtorch reads each as. Formats of 8 bits that libtorch cannot compute
/// with here are read as their bytes.
/// </summary>
internal static class SafetensorsDTypes
{
    /// <summary>8-bit numbers with 4 bits of exponent and 3 of mantissa.</summary>
    public const string Float8E4M3 = "F8_E4M3";

    /// <summary>Powers of two, 8 bits of exponent.</summary>
    public const string Float8E8M0 = "F8_E8M0";

    // In the order of tensors in a file: the widest first, so that all are aligned to their size.
    private static readonly (string Name, ScalarType DType)[] Known =
    [
        ("I64", ScalarType.Int64),
        ("F64", ScalarType.Float64),
        ("F32", ScalarType.Float32),
        ("I32", ScalarType.Int32),
        ("BF16", ScalarType.BFloat16),
        ("F16", ScalarType.Float16),
        ("I16", ScalarType.Int16),
        (Float8E8M0, ScalarType.Byte),
        (Float8E4M3, ScalarType.Byte),
        ("I8", ScalarType.Int8),
        ("U8", ScalarType.Byte),
        ("BOOL", ScalarType.Bool),
    ];

    public static string All => string.Join(", ", Known.Select(known => known.Name));

    public static ScalarType? Parse(string name)
    {
        int at = Order(name);
        return at < 0 ? null : Known[at].DType;
    }

    /// <summary>Returns the format's name of a dtype, or null if it has none.</summary>
    public static string? Name(ScalarType dtype) => Array.FindLast(Known, known => known.DType == dtype).Name;

    /// <summary>The place of a format among the tensors of a file.</summary>
    public static int Order(string name) => Array.FindIndex(Known, known => known.Name == name);

    public static int Size(ScalarType dtype) => dtype switch
    {
        ScalarType.Float64 or ScalarType.Int64 => 8,
        ScalarType.Float32 or ScalarType.Int32 => 4,
        ScalarType.Float16 or ScalarType.BFloat16 or ScalarType.Int16 => 2,
        ScalarType.Int8 or ScalarType.Byte or ScalarType.Bool => 1,
        _ => throw new ArgumentOutOfRangeException(nameof(dtype), dtype, $"Safetensors files hold {All}."),
    };

    public static bool IsFloating(ScalarType dtype) =>
        dtype is ScalarType.Float64 or ScalarType.Float32 or ScalarType.Float16 or ScalarType.BFloat16;
}
