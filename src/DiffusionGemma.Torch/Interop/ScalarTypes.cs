using static TorchSharp.torch;

namespace DiffusionGemma;

/// <summary>Relations between dtypes.</summary>
internal static class ScalarTypes
{
    /// <summary>Returns float64 for float64, and float32 for every narrower dtype: sums and softmaxes compute in it.</summary>
    public static ScalarType AtLeastFloat32(this ScalarType dtype) => dtype == ScalarType.Float64 ? ScalarType.Float64 : ScalarType.Float32;
}
