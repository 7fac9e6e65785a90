using TorchSharp;
using static TorchSharp.torch;

namespace DiffusionGemma;

/// <summary>Opens the quantised weights of a checkpoint as a model uses them.</summary>
internal static class QuantizedWeights
{
    /// <summary>The dtype that a checkpoint's model computes in where none is asked for.</summary>
    public static ScalarType ComputeType(Checkpoint checkpoint, Device device) =>
        checkpoint.Quantized.Count == 0 ? checkpoint.DType
            : device.type == DeviceType.CPU ? ScalarType.Float32 : ScalarType.BFloat16;

    /// <summary>Returns true for weights whose products are computed from the stored form: projections and expert stacks.</summary>
    public static bool IsKept(string name) =>
        DiffusionGemmaModel.IsStack(name)
        || (name.EndsWith("_proj.weight", StringComparison.Ordinal) && name.StartsWith("model.decoder.", StringComparison.Ordinal));

    /// <summary>
    /// Opens a weight as it is stored: of a stack, a rank's part. A weight that products do not read from its stored form (a router's, the
    /// embedding's) is widened.
    /// </summary>
    public static StoredWeight Read(Checkpoint checkpoint, string name, Device device, ScalarType dtype, IExpertRanks ranks)
    {
        WeightLayout layout = checkpoint.Quantized[name];
        bool isStack = DiffusionGemmaModel.IsStack(name);
        int count = layout.Slices.Count / (isStack ? ranks.Size : 1), first = isStack ? ranks.Rank * count : 0;
        QuantizedMatrix[][] slices = [.. Enumerable.Range(first, count).Select(slice => checkpoint.ReadSlice(name, slice, device))];
        StoredWeight weight = isStack ? StoredWeight.QuantizedStack(slices) : StoredWeight.Quantized(slices[0]);
        if (IsKept(name)) return weight;
        using (weight) return Kernels.Dequantize(slices[0][0], dtype);
    }
}
