using static TorchSharp.torch;

namespace DiffusionGemma;

/// <summary>
/// An open checkpoint folder: config.json and its weights, checked to be complete and of the right names, shapes and dtypes.
/// </summary>
internal sealed class Checkpoint : IDisposable
{
    private const int NamesPrinted = 10;

    private Checkpoint(string folder, DiffusionGemmaConfig config, SafetensorsFile weights, QuantizedLayout quantized)
    {
        Folder = folder;
        Config = config;
        Weights = weights;
        Quantized = quantized.Weights;
    }

    public string Folder { get; }

    public DiffusionGemmaConfig Config { get; }

    public SafetensorsFile Weights { get; }

    /// <summary>Weights that are stored quantised, by their names in an unquantised checkpoint; the others are plain tensors.</summary>
    public IReadOnlyDictionary<string, WeightLayout> Quantized { get; }

    /// <summary>The dtype of the weights: config.json's or, where it states none, the embedding table's.</summary>
    public ScalarType DType => Config.DType!.Value;

    /// <summary>Opens a folder and checks its weights against config.json; reads no weight.</summary>
    /// <exception cref="InvalidConfigurationException">config.json is missing or has a value that is not supported.</exception>
    /// <exception cref="CheckpointException">A weight file is broken, or a tensor is missing, unknown, or of another shape or
    /// dtype.</exception>
    public static Checkpoint Open(string folder)
    {
        DiffusionGemmaConfig config = DiffusionGemmaConfig.Load(folder);
        SafetensorsFile weights = SafetensorsFile.Open(folder);
        try
        {
            IReadOnlyDictionary<string, long[]> expected = CheckpointLayout.Expected(config);
            QuantizedLayout quantized = QuantizedLayout.Find(folder, config.Quantization, weights, expected);
            Check(folder, expected.Where(weight => !quantized.Weights.ContainsKey(weight.Key)).ToDictionary(), weights, quantized.Tensors);
            ScalarType stored = weights.Tensors.GetValueOrDefault(CheckpointLayout.Embedding)?.DType ?? ScalarType.BFloat16;
            return new Checkpoint(folder, config with { DType = config.DType ?? stored }, weights, quantized);
        }
        catch
        {
            weights.Dispose();
            throw;
        }
    }

    /// <summary>Reads a tensor by its name in the checkpoint, as <see cref="SafetensorsFile.Read"/>.</summary>
    public Tensor Read(string name, Device? device = null, ScalarType? dtype = null, Func<Tensor, Tensor>? part = null) =>
        Weights.ReadPart(name, device, dtype, part);

    public void Dispose() => Weights.Dispose();

    /// <summary>
    /// Maps the matrices of one slice of a quantised weight; on the CPU nothing is copied, and this object must outlive them.
    /// </summary>
    public QuantizedMatrix[] ReadSlice(string name, int slice, Device? device = null) =>
        [.. Quantized[name].Slices[slice].Select(matrix => QuantizedReader.Read(Weights, matrix, device))];

    private static void Check(
        string folder, IReadOnlyDictionary<string, long[]> expected, SafetensorsFile weights, IReadOnlySet<string> quantized)
    {
        ThrowIfAny(folder, "lacks", expected.Keys.Where(name => !weights.Tensors.ContainsKey(name)));
        ThrowIfAny(folder, "has other shapes than config.json specifies:", expected
            .Where(pair => !weights.Tensors[pair.Key].Shape.SequenceEqual(pair.Value))
            .Select(pair => $"{weights.Tensors[pair.Key]} instead of [{string.Join(", ", pair.Value)}]"));
        ThrowIfAny(folder, "has tensors that are not floating-point:", expected.Keys
            .Where(name => !SafetensorsDTypes.IsFloating(weights.Tensors[name].DType))
            .Select(name => weights.Tensors[name].ToString()));

        string[] others =
        [
            .. weights.Tensors.Keys.Where(
                name => !expected.ContainsKey(name) && !quantized.Contains(name) && !CheckpointLayout.IsVision(name)),
        ];
        ThrowIfAny(folder, "has tensors that do not belong to this model:", others
            .Where(name => CheckpointLayout.TiedTo(name) is not string original
                || (!expected.ContainsKey(original) && !quantized.Contains(original))));
        ThrowIfAny(folder, "has copies of tied tensors that differ from the decoder's:", others
            .Where(name => !BytesEqual(weights, name, CheckpointLayout.TiedTo(name)!))
            .Select(name => $"{weights.Tensors[name]} and {weights.Tensors[CheckpointLayout.TiedTo(name)!]}"));
    }

    private static void ThrowIfAny(string folder, string problem, IEnumerable<string> tensors)
    {
        string[] names = [.. tensors];
        if (names.Length == 0) return;
        string more = names.Length > NamesPrinted ? $" and {names.Length - NamesPrinted} more" : "";
        throw new CheckpointException(
            folder, $"{problem} {string.Join("; ", names.Take(NamesPrinted))}{more}. " +
            "Weights and config.json must belong to the same DiffusionGemma checkpoint.");
    }

    private static unsafe bool BytesEqual(SafetensorsFile weights, string name, string original)
    {
        TensorInfo a = weights.Tensors[name], b = weights.Tensors[original];
        if (a.Format != b.Format || !a.Shape.SequenceEqual(b.Shape)) return false;
        byte* first = weights.Bytes(name), second = weights.Bytes(original);
        const int piece = 1 << 30;                                                       // a span holds no more than 2 GB
        for (long at = 0; at < a.Length; at += piece)
        {
            int length = (int)Math.Min(piece, a.Length - at);
            if (!new ReadOnlySpan<byte>(first + at, length).SequenceEqual(new ReadOnlySpan<byte>(second + at, length))) return false;
        }
        return true;
    }
}
