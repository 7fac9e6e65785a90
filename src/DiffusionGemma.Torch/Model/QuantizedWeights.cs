using TorchSharp;
using static TorchSharp.torch;

namespace DiffusionGemma;

/// <summary>Opens the weights of a checkpoint as a model keeps them: as they are stored, or rounded to fewer bits on the way.</summary>
internal static class QuantizedWeights
{
    /// <summary>Metadata of a file whose embedding is kept in 8 bits when it is loaded.</summary>
    public const string EmbeddingKey = $"{CheckpointWriter.OwnKeys}embedding", EmbeddingValue = "int8";

    /// <summary>Metadata of a file whose weights were quantised before they were rounded.</summary>
    public const string RoundedTwiceKey = $"{CheckpointWriter.OwnKeys}rounded_twice", RoundedTwiceValue = "true";

    /// <summary>The dtype that a checkpoint's model computes in where none is asked for.</summary>
    public static ScalarType ComputeType(Checkpoint checkpoint, Device device) =>
        checkpoint.Quantized.Count == 0 ? checkpoint.DType
            : device.type == DeviceType.CPU ? ScalarType.Float32 : ScalarType.BFloat16;

    /// <summary>Returns true for weights whose products are computed from the stored form: projections and expert stacks.</summary>
    public static bool IsKept(string name) =>
        DiffusionGemmaModel.IsStack(name)
        || (name.EndsWith("_proj.weight", StringComparison.Ordinal) && name.StartsWith("model.decoder.", StringComparison.Ordinal));

    /// <summary>
    /// Returns true for weights that <see cref="Quantization"/> rounds, besides the embedding: those that other tools round too.
    /// </summary>
    public static bool IsRounded(string name) => IsKept(name) && name.Contains(".layers.", StringComparison.Ordinal);

    /// <summary>Checks that a checkpoint's weights can be rounded.</summary>
    /// <exception cref="ArgumentException">The weights have as few bits already, or a row does not divide into groups.</exception>
    public static void Check(Checkpoint checkpoint, Quantization quantization)
    {
        if (!Enum.IsDefined(quantization))
            throw new ArgumentOutOfRangeException(nameof(quantization), quantization, "must be None, Int8 or Int4");
        if (quantization == Quantization.None) return;
        int bits = quantization == Quantization.Int8 ? 8 : 4;
        foreach ((string name, WeightLayout layout) in checkpoint.Quantized)
            if (layout.Slices.SelectMany(slice => slice).Select(matrix => QuantizedRows.BitsOf(matrix.Elements)).Min() is var stored
                && stored <= bits)
                throw new ArgumentException(
                    $"Quantization.{quantization} asks for {bits} bits, and {checkpoint.Folder} stores {name} in {stored}: load it without "
                    + "Quantization, as it is stored, or name the unquantised checkpoint.", nameof(quantization));
        if (quantization == Quantization.Int4
            && CheckpointLayout.Expected(checkpoint.Config).FirstOrDefault(w => IsRounded(w.Key) && w.Value[^1] % Quantizer.GroupSize != 0)
                is { Key: { } odd, Value: { } shape })
            throw new ArgumentException(
                $"Quantization.Int4 needs rows that divide into groups of {Quantizer.GroupSize}, and {odd} of {checkpoint.Folder} has "
                + $"rows of {shape[^1]}: use Quantization.Int8.", nameof(quantization));
    }

    /// <summary>Lists messages to the user about weights that are loaded this way.</summary>
    public static IReadOnlyList<string> Notices(Checkpoint checkpoint, Quantization quantization)
    {
        var notices = new List<string>();
        if (checkpoint.Config.Quantization is { QuantizesActivations: true } && checkpoint.Quantized.Count > 0)
            notices.Add(
                $"{checkpoint.Folder} asks for quantised activations too (quantization_config): only its weights are used quantised.");
        if (checkpoint.Config.Quantization is { Source: var source } && checkpoint.Quantized.Count == 0)
            notices.Add(
                $"{source} has a quantization_config, and no weight of {checkpoint.Folder} is quantised: all are used as they are stored. "
                + "Plans that are made from config.json alone count them as quantised.");
        return [.. notices, .. RoundedTwice(checkpoint, quantization)];
    }

    /// <summary>A message where weights that were rounded are rounded again, now or when the folder was made.</summary>
    public static IReadOnlyList<string> RoundedTwice(Checkpoint checkpoint, Quantization quantization)
    {
        const string wayOut = "Quantise the original checkpoint where you have it.";
        if (quantization != Quantization.None && checkpoint.Quantized.Count > 0)
            return
            [
                $"The weights of {checkpoint.Folder} are rounded twice: they are quantised already, and {quantization} rounds their values "
                    + $"again. {wayOut}",
            ];
        return checkpoint.Weights.Metadata.ContainsKey(RoundedTwiceKey)
            ? [$"The weights of {checkpoint.Folder} are rounded twice: the folder was made from quantised weights. {wayOut}"] : [];
    }

    /// <summary>Opens a weight: of a stack, a rank's part.</summary>
    public static StoredWeight Read(
        Checkpoint checkpoint, string name, Device device, ScalarType dtype, IExpertRanks ranks, Quantization quantization)
    {
        bool isTable = name == CheckpointLayout.Embedding,
            isByteTable = isTable && checkpoint.Weights.Metadata.GetValueOrDefault(EmbeddingKey) == EmbeddingValue;
        if (isByteTable || quantization != Quantization.None && (isTable || IsRounded(name)))
            return Round(checkpoint, name, device, ranks, isTable ? Quantization.Int8 : quantization);
        if (checkpoint.Quantized.ContainsKey(name)) return AsStored(checkpoint, name, device, dtype, ranks);
        Func<Tensor, Tensor>? part =
            ranks.Size > 1 && DiffusionGemmaModel.IsStack(name) ? stack => ExpertSlice.First.Select(stack, ranks) : null;
        if (device.type == DeviceType.CPU && (isTable || IsKept(name)) && checkpoint.Weights.Tensors[name].DType == ScalarType.BFloat16)
            return Mapped(checkpoint, name, part);
        return checkpoint.Read(name, device, dtype, part);
    }

    /// <summary>Opens a bfloat16 weight where it lies in the file: products of wider passes widen a block of it at a time.</summary>
    private static StoredWeight Mapped(Checkpoint checkpoint, string name, Func<Tensor, Tensor>? part)
    {
        using IDisposable quiet = no_grad();
        using var scope = NewDisposeScope();
        Tensor whole = checkpoint.Weights.Map(name);
        return StoredWeight.Lent((part is null ? whole : part(whole)).MoveToOuterDisposeScope());
    }

    /// <summary>
    /// Opens a quantised weight as it is stored. One that products do not read from its stored form (a router's, the embedding's) is
    /// widened.
    /// </summary>
    private static StoredWeight AsStored(Checkpoint checkpoint, string name, Device device, ScalarType dtype, IExpertRanks ranks)
    {
        (int first, int count) = PartOf(name, checkpoint.Quantized[name].Slices.Count, ranks);
        QuantizedMatrix[][] slices = [.. Enumerable.Range(first, count).Select(slice => checkpoint.ReadSlice(name, slice, device))];
        StoredWeight weight = DiffusionGemmaModel.IsStack(name) ? StoredWeight.QuantizedStack(slices) : StoredWeight.Quantized(slices[0]);
        if (IsKept(name)) return weight;
        using (weight) return Kernels.Dequantize(slices[0][0], dtype);
    }

    /// <summary>Rounds a weight, a slice at a time: no more than one block of it is held in float32.</summary>
    private static StoredWeight Round(Checkpoint checkpoint, string name, Device device, IExpertRanks ranks, Quantization quantization)
    {
        long[] shape = CheckpointLayout.Expected(checkpoint.Config)[name];
        bool isStack = shape.Length == 3;
        (int first, int count) = PartOf(name, isStack ? (int)shape[0] : 1, ranks);
        QuantizedMatrix[][] slices = [.. Enumerable.Range(first, count).Select(slice =>
        {
            QuantizedMatrix matrix = RoundRows(checkpoint, name, slice, 0, shape[^2], quantization);
            if (device.type == DeviceType.CPU) return new[] { matrix };
            using (matrix) return [matrix.Map(tensor => tensor.to(device).DetachFromDisposeScope())];
        })];
        if (!checkpoint.Quantized.ContainsKey(name)) checkpoint.Weights.ReleasePages(name);
        return isStack ? StoredWeight.QuantizedStack(slices) : StoredWeight.Quantized(slices[0]);
    }

    /// <summary>Rounds some rows of one slice of a checkpoint's weight.</summary>
    /// <exception cref="CheckpointException">A number is not finite.</exception>
    public static QuantizedMatrix RoundRows(
        Checkpoint checkpoint, string name, int slice, long firstRow, long rows, Quantization quantization)
    {
        try
        {
            return RoundFiniteRows(checkpoint, name, slice, firstRow, rows, quantization);
        }
        catch (InvalidDataException)
        {
            throw new CheckpointException(
                checkpoint.Folder, name,
                $"{(DiffusionGemmaModel.IsStack(name) ? $"(expert {slice}) " : "")}holds a number that is not finite, and is not rounded. "
                + "Fetch or copy the checkpoint again.");
        }
    }

    private static QuantizedMatrix RoundFiniteRows(
        Checkpoint checkpoint, string name, int slice, long firstRow, long rows, Quantization quantization)
    {
        long columns = CheckpointLayout.Expected(checkpoint.Config)[name][^1];
        using var scope = NewDisposeScope();
        if (checkpoint.Quantized.ContainsKey(name))
        {
            using StoredWeight stored = StoredWeight.Quantized(checkpoint.ReadSlice(name, slice));
            var values = new QuantizedWeightRows(stored);
            return Quantizer.Round(quantization, rows, columns, (first, count) => Values(values, firstRow + first, count));
        }
        Tensor whole = checkpoint.Weights.Map(name), own = whole.dim() == 3 ? whole.select(0, slice) : whole;
        return Quantizer.Round(
            quantization, rows, columns, (first, count) => own.narrow(0, firstRow + first, count).to(ScalarType.Float32).contiguous());
    }

    private static unsafe Tensor Values(QuantizedWeightRows rows, long first, long count)
    {
        Tensor values = empty(count, rows.Columns, dtype: ScalarType.Float32, device: CPU);
        rows.Widen(first, count, (float*)NativeTensors.Data(values));
        return values;
    }

    private static (int First, int Count) PartOf(string name, int slices, IExpertRanks ranks)
    {
        if (!DiffusionGemmaModel.IsStack(name)) return (0, slices);
        int count = slices / ranks.Size;
        return (ranks.Rank * count, count);
    }
}
