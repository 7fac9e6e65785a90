using static TorchSharp.torch;

namespace DiffusionGemma;

/// <summary>The safetensors format's names of the dtypes that libtorch has too.</summary>
internal static class SafetensorsDTypes
{
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
        ("I8", ScalarType.Int8),
        ("U8", ScalarType.Byte),
        ("BOOL", ScalarType.Bool),
    ];

    public static string All => string.Join(", ", Known.Select(known => known.Name));

    public static ScalarType? Parse(string name)
    {
        int at = Array.FindIndex(Known, known => known.Name == name);
        return at < 0 ? null : Known[at].DType;
    }

    /// <summary>Returns the format's name of a dtype, or null if it has none.</summary>
    public static string? Name(ScalarType dtype) => Order(dtype) is >= 0 and var at ? Known[at].Name : null;

    public static int Order(ScalarType dtype) => Array.FindIndex(Known, known => known.DType == dtype);

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
