using static TorchSharp.torch;

namespace DiffusionGemma;

/// <summary>Relations between dtypes.</summary>
internal static class ScalarTypes
{
    /// <summary>Returns float64 for float64, and float32 for every narrower dtype: sums and softmaxes compute in it.</summary>
    public static ScalarType AtLeastFloat32(this ScalarType dtype) => dtype == ScalarType.Float64 ? ScalarType.Float64 : ScalarType.Float32;

    /// <summary>Bytes of a floating-point number.</summary>
    public static long Bytes(this ScalarType dtype) => dtype switch
    {
        ScalarType.Float64 => 8,
        ScalarType.Float32 => 4,
        ScalarType.BFloat16 or ScalarType.Float16 => 2,
        _ => throw new ArgumentOutOfRangeException(nameof(dtype), dtype, "float64, float32, bfloat16 or float16."),
    };
}
