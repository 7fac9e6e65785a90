using static TorchSharp.torch;

namespace DiffusionGemma;

/// <summary>Memory of a number of a weight, by the form that it is stored in.</summary>
internal static class WeightStorage
{
    /// <summary>Bytes of one number of a weight, its part of the scales included.</summary>
    /// <param name="name">The weight's name in an unquantised checkpoint.</param>
    /// <param name="config">The checkpoint's, whose own weights may be quantised.</param>
    /// <param name="quantization">The rounding on loading.</param>
    /// <param name="compute">Bytes of a number in the dtype that is computed in.</param>
    /// <param name="isMapped">True for a weight that is frozen, on a CPU: one in bfloat16 stays as it is stored.</param>
    public static double BytesOf(string name, DiffusionGemmaConfig config, Quantization quantization, long compute, bool isMapped = false)
    {
        if (isMapped && config.DType == ScalarType.BFloat16 && (name == CheckpointLayout.Embedding || QuantizedWeights.IsKept(name)))
            compute = 2;
        long columns = CheckpointLayout.Expected(config)[name][^1];
        if (quantization != Quantization.None)
        {
            if (name == CheckpointLayout.Embedding) return 1 + 2.0 / columns;
            if (QuantizedWeights.IsRounded(name))
                return quantization == Quantization.Int8 ? 1 + 2.0 / columns : 0.5 + 2.0 / Quantizer.GroupSize;
        }
        if (config.Quantization is null || !QuantizedWeights.IsKept(name)) return compute;
        string module = DiffusionGemmaModel.IsStack(name)
            ? $"{name[..name.LastIndexOf('.')]}.0.{(name.EndsWith("down_proj", StringComparison.Ordinal) ? "down_proj" : "gate_proj")}"
            : name[..^".weight".Length];
        if (config.Quantization.GroupOf(module) is not { } group) return compute;
        double size = group.GroupSize ?? columns, bytes = group.Bits / 8.0;
        return group.Format switch
        {
            "nvfp4-pack-quantized" or "mxfp4-pack-quantized" => bytes + 1 / size,
            _ => bytes + 2 / size + (group.Symmetric ? 0 : bytes / size),
        };
    }
}
