using static TorchSharp.torch;

namespace DiffusionGemma.Gpu;

/// <summary>Models with random weights, drawn on the device: of the released shape no file is written or read.</summary>
internal static class RandomModel
{
    private const int Group = 32;

    /// <summary>The root-mean-square of a random number of four bits, less 8.</summary>
    private const double Spread = 4.63;

    /// <summary>Creates a model whose checkpoint is a sparse file of zeros, which is never read.</summary>
    /// <param name="shape">The sizes.</param>
    /// <param name="folder">Receives config.json and the sparse file.</param>
    /// <param name="device">Where the weights are drawn.</param>
    /// <param name="dtype">What is computed in, and stored.</param>
    /// <param name="inFourBits">Attention, dense layers and experts as random numbers of 4 bits, in groups of 32.</param>
    public static DiffusionGemmaModel Create(ModelShape shape, string folder, Device device, ScalarType dtype, bool inFourBits)
    {
        shape.WriteConfig(folder, "bfloat16");
        SparseCheckpoint.WriteWeights(folder);
        Checkpoint checkpoint = Checkpoint.Open(folder);
        IReadOnlyDictionary<string, long[]> shapes = CheckpointLayout.Expected(checkpoint.Config);
        using IDisposable quiet = no_grad();
        manual_seed(1);
        StoredWeight Draw(string name)
        {
            using var scope = NewDisposeScope();
            long[] sizes = shapes[name];
            if (inFourBits && QuantizedWeights.IsRounded(name))
            {
                if (sizes.Length == 2) return StoredWeight.Quantized(FourBits(sizes[0], sizes[1], device));
                return StoredWeight.QuantizedStack(
                    [.. Enumerable.Range(0, (int)sizes[0]).Select(_ => new[] { FourBits(sizes[1], sizes[2], device) })]);
            }
            return Weight(name, sizes, device, dtype).MoveToOuterDisposeScope();
        }
        return DiffusionGemmaModel.Create(checkpoint, Draw);
    }

    /// <summary>Writes a checkpoint that transformers loads too; its weights are drawn on the device, which is faster at it.</summary>
    public static void Write(ModelShape shape, string folder, Device device, ScalarType dtype)
    {
        shape.WriteConfig(folder, dtype == ScalarType.BFloat16 ? "bfloat16" : "float32");
        DiffusionGemmaConfig config = DiffusionGemmaConfig.Load(folder);
        using var scope = NewDisposeScope();
        using IDisposable quiet = no_grad();
        manual_seed(1);
        SafetensorsFile.Write(
            Path.Combine(folder, SafetensorsFile.SingleFileName),
            CheckpointLayout.Expected(config).ToDictionary(e => e.Key, e => OnHost(e.Key, e.Value)),
            new Dictionary<string, string> { ["format"] = "pt" });

        Tensor OnHost(string name, long[] sizes)
        {
            using var inner = NewDisposeScope();
            return Weight(name, sizes, device, dtype).cpu().MoveToOuterDisposeScope();
        }
    }

    private static Tensor Weight(string name, long[] shape, Device device, ScalarType dtype)
    {
        bool isOne = name.EndsWith("layer_scalar", StringComparison.Ordinal) || name.Contains("norm", StringComparison.Ordinal)
            || name.EndsWith("scale", StringComparison.Ordinal);
        if (isOne) return ones(shape, dtype, device);
        double spread = name == CheckpointLayout.Embedding ? 0.05 : Math.Pow(shape[^1], -0.5);
        return empty(shape, dtype, device).normal_(0, spread);
    }

    private static QuantizedMatrix FourBits(long rows, long columns, Device device)
    {
        Tensor codes = randint(int.MinValue, int.MaxValue, [rows, columns / 8], ScalarType.Int32, device);
        Tensor scales = full([rows, columns / Group], 1 / (Spread * Math.Sqrt(columns)), dtype: ScalarType.BFloat16, device: device);
        return new QuantizedMatrix(
            ElementFormat.OffsetInt4, codes.DetachFromDisposeScope(), columns, ScaleFormat.BFloat16, scales.DetachFromDisposeScope());
    }
}
