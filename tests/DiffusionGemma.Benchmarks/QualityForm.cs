using TorchSharp;

namespace DiffusionGemma.Benchmarks;

/// <summary>A form of the frozen base in the comparison of answers.</summary>
/// <param name="Name">In the figures' names.</param>
/// <param name="Precision">What is computed in.</param>
/// <param name="Quantization">The rounding of the base.</param>
internal sealed record QualityForm(string Name, torch.ScalarType Precision, Quantization Quantization)
{
    public static IReadOnlyList<QualityForm> All { get; } =
    [
        new("float32", torch.ScalarType.Float32, Quantization.None),
        new("bfloat16", torch.ScalarType.BFloat16, Quantization.None),
        new("int8", torch.ScalarType.Float32, Quantization.Int8),
        new("int4", torch.ScalarType.Float32, Quantization.Int4),
    ];
}
