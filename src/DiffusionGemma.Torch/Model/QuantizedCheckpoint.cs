using System.Runtime.InteropServices;
using System.Text.Json;
using System.Text.Json.Nodes;
using static TorchSharp.torch;

namespace DiffusionGemma;

/// <summary>
/// Writes a checkpoint's folder with quantised weights, in compressed-tensors' format: a folder that is mapped when it is loaded, and not
/// read, and that vLLM and compressed-tensors read too.
/// </summary>
/// <remarks>
/// Int4 is stored as <c>pack-quantized</c> in groups of 32, Int8 as <c>int-quantized</c>; experts lie apart. Attention, dense layers and
/// experts are rounded; the embedding, which is kept in 8 bits when the folder is loaded, and everything else stay as they are.
/// </remarks>
/// <example>
/// <code>
/// QuantizedCheckpoint.Create("diffusiongemma", "diffusiongemma-int4", Quantization.Int4);
/// using var model = DiffusionGemmaModel.Load("diffusiongemma-int4");
/// </code>
/// </example>
public static class QuantizedCheckpoint
{
    /// <summary>Quantises a folder, a matrix at a time.</summary>
    /// <param name="folder">A Hugging Face folder: unquantised, or of more bits than are asked for.</param>
    /// <param name="target">Created where absent; not <paramref name="folder"/>. Its former weights stay until the new files are
    /// complete.</param>
    /// <param name="quantization">Int8 or Int4.</param>
    /// <param name="progress">Receives a line for each file before it is written.</param>
    /// <param name="cancellation">Checked between matrices; nothing is left in the target.</param>
    /// <returns>A message where the folder's weights are quantised already, and so are rounded twice; else none. The model that is loaded
    /// from the target repeats it (<see cref="DiffusionGemmaModel.Notices"/>).</returns>
    /// <exception cref="ArgumentException">The weights have as few bits already, a row does not divide into groups of 32, or the target
    /// is the folder itself.</exception>
    /// <exception cref="InvalidConfigurationException">config.json is missing or not supported.</exception>
    /// <exception cref="CheckpointException">The folder cannot be read, or the target has no room or may not be written.</exception>
    /// <exception cref="OperationCanceledException">Cancelled.</exception>
    public static IReadOnlyList<string> Create(
        string folder, string target, Quantization quantization, IProgress<string>? progress = null,
        CancellationToken cancellation = default)
    {
        ArgumentException.ThrowIfNullOrEmpty(folder);
        ArgumentException.ThrowIfNullOrEmpty(target);
        if (quantization == Quantization.None)
            throw new ArgumentException("Quantization.None changes nothing: ask for Int8 or Int4.", nameof(quantization));
        using Checkpoint source = Checkpoint.Open(folder);
        QuantizedWeights.Check(source, quantization);
        if (FolderPath.AreSame(folder, target))
            throw new ArgumentException($"{target} is the folder that is quantised: name another one.", nameof(target));

        string config = Config(source, quantization);
        (string File, TensorSource[] Tensors)[] files = Plan(source, quantization, cancellation);
        long total = files.Sum(file => file.Tensors.Sum(tensor => tensor.Length));
        Dictionary<string, string> metadata =
            new() { ["format"] = "pt", [QuantizedWeights.EmbeddingKey] = QuantizedWeights.EmbeddingValue };
        if (source.Quantized.Count > 0) metadata[QuantizedWeights.RoundedTwiceKey] = QuantizedWeights.RoundedTwiceValue;
        try
        {
            using var update = new FolderUpdate(target);
            RequireRoom(target, total);                                // a target that may not be written to is said first
            var sums = new Checksums();
            foreach ((int n, (string file, TensorSource[] tensors)) in files.Index())
            {
                cancellation.ThrowIfCancellationRequested();
                progress?.Report($"{file} ({n + 1} of {files.Length}): {tensors.Length} tensors, {tensors.Sum(t => t.Length) / 1e6:F0} MB");
                sums.Add(file, SafetensorsWriter.Write(update.PathOf(file), tensors, metadata));
            }
            if (files is not [(SafetensorsFile.SingleFileName, _)])
                File.WriteAllText(update.PathOf(SafetensorsIndex.FileName), Index(files, total));
            File.WriteAllText(update.PathOf(DiffusionGemmaConfig.FileName), config);
            foreach (string path in Directory.EnumerateFiles(folder).Where(CheckpointWriter.IsCompanion))
                if (Path.GetFileName(path) is not (DiffusionGemmaConfig.FileName or QuantizationParser.ModelOptFileName) and var name)
                    File.Copy(path, update.PathOf(name));
            sums.Complete(update.Folder);
            update.Commit(CheckpointWriter.IsWeights, name => name is SafetensorsIndex.FileName or SafetensorsFile.SingleFileName);
            return QuantizedWeights.RoundedTwice(source, quantization);
        }
        catch (Exception e) when (e is UnauthorizedAccessException or IOException and not CheckpointException { InnerException: null })
        {
            throw new CheckpointException(
                target, $"cannot be written: {(e.InnerException ?? e).Message.TrimEnd('.')}. An existing checkpoint is unchanged. "
                + "Name a folder that may be written to and has room.", e);
        }
    }

    /// <summary>The files and their tensors, as the source has them; a quantised matrix goes where the source's weight is.</summary>
    private static (string File, TensorSource[] Tensors)[] Plan(
        Checkpoint source, Quantization quantization, CancellationToken cancellation)
    {
        IReadOnlyDictionary<string, long[]> expected = CheckpointLayout.Expected(source.Config);
        var written = new HashSet<string>();
        Dictionary<string, string> owners = source.Quantized
            .SelectMany(weight => weight.Value.Slices.SelectMany(s => s).SelectMany(m => m.Tensors).Distinct().Select(t => (t, weight.Key)))
            .ToDictionary(pair => pair.t, pair => pair.Key);

        IEnumerable<TensorSource> Of(string tensor)
        {
            string weight = owners.GetValueOrDefault(tensor, tensor);
            if (expected.ContainsKey(weight) && QuantizedWeights.IsRounded(weight))
                return written.Add(weight) ? Matrices(source, weight, expected[weight], quantization, cancellation) : [];
            // A tied copy of what is rounded would no longer be a copy; readers tie by themselves.
            string? original = CheckpointLayout.TiedTo(tensor);
            return original is not null && QuantizedWeights.IsRounded(owners.GetValueOrDefault(original, original))
                ? [] : [TensorSource.FromFile(source.Weights, tensor)];
        }
        return
        [
            .. source.Weights.Tensors.Values.GroupBy(tensor => Path.GetFileName(tensor.File))
                .Select(file => (file.Key, Tensors: file.SelectMany(tensor => Of(tensor.Name)).ToArray()))
                .Where(file => file.Tensors.Length > 0),
        ];
    }

    /// <summary>The matrices of a weight: of a stack, those of each expert.</summary>
    private static IEnumerable<TensorSource> Matrices(
        Checkpoint source, string weight, long[] shape, Quantization quantization, CancellationToken cancellation)
    {
        if (shape.Length == 2)
            return Matrix(source, weight, weight[..^".weight".Length], 0, 0, shape[0], shape[1], quantization, cancellation);
        string prefix = weight[..(weight.LastIndexOf('.') + 1)], stack = weight[prefix.Length..];
        string[] parts = stack == "gate_up_proj" ? ["gate_proj", "up_proj"] : [stack];
        long rows = shape[1] / parts.Length;
        return
            from expert in Enumerable.Range(0, (int)shape[0])
            from part in parts.Index()
            from tensor in Matrix(
                source, weight, $"{prefix}{expert}.{part.Item}", expert, part.Index * rows, rows, shape[2], quantization, cancellation)
            select tensor;
    }

    private static IEnumerable<TensorSource> Matrix(
        Checkpoint source, string weight, string module, int slice, long first, long rows, long columns, Quantization quantization,
        CancellationToken cancellation)
    {
        // Codes and scales lie in different places of a file: the scales of a matrix, which are few, are kept from one to the other.
        byte[]? scales = null;
        void Write(Stream stream, bool writesCodes)
        {
            cancellation.ThrowIfCancellationRequested();
            if (writesCodes || scales is null)
            {
                using QuantizedMatrix matrix = QuantizedWeights.RoundRows(source, weight, slice, first, rows, quantization);
                if (writesCodes) TensorSource.FromTensor(module, matrix.Codes).WriteTo(stream);
                scales = MemoryMarshal.AsBytes(NativeTensors.Elements<ushort>(matrix.Scales!)).ToArray();
            }
            if (!writesCodes) stream.Write(scales);
        }
        bool isByte = quantization == Quantization.Int8;
        yield return isByte
            ? new TensorSource($"{module}.weight", ScalarType.Int8, [rows, columns], stream => Write(stream, writesCodes: true))
            : new TensorSource(
                $"{module}.weight_packed", ScalarType.Int32, [rows, columns / 8], stream => Write(stream, writesCodes: true));
        yield return new TensorSource(
            $"{module}.weight_scale", ScalarType.BFloat16, [rows, isByte ? 1 : columns / Quantizer.GroupSize],
            stream => Write(stream, writesCodes: false));
        if (!isByte)
            yield return new TensorSource($"{module}.weight_shape", ScalarType.Int64, [2], stream =>
            {
                stream.Write(BitConverter.GetBytes(rows));
                stream.Write(BitConverter.GetBytes(columns));
            });
    }

    private static void RequireRoom(string target, long bytes)
    {
        try
        {
            string? at = Path.GetFullPath(target);
            while (at is not null && !Directory.Exists(at)) at = Path.GetDirectoryName(at);
            if (at is not null && new DriveInfo(at).AvailableFreeSpace is var room && room < bytes)
                throw new CheckpointException(
                    target, $"needs {Size(bytes)}, and its disk has {Size(room)} free. Name a folder on another disk, or make "
                    + "room.");
        }
        catch (Exception e) when (e is UnauthorizedAccessException or ArgumentException or IOException and not CheckpointException)
        {
            // The room of some file systems is not known: writing will tell.
        }
    }

    private static string Size(long bytes) =>
        bytes < 1_000_000_000
            ? FormattableString.Invariant($"{bytes / 1e6:F1} MB") : FormattableString.Invariant($"{bytes / 1e9:F1} GB");

    private static string Index((string File, TensorSource[] Tensors)[] files, long total)
    {
        var map = new SortedDictionary<string, string>(StringComparer.Ordinal);
        foreach ((string file, TensorSource[] tensors) in files)
            foreach (TensorSource tensor in tensors)
                map[tensor.Name] = file;
        var index = new { metadata = new { total_size = total }, weight_map = map };
        return JsonSerializer.Serialize(index, CheckpointWriter.IndexFormat) + "\n";
    }

    /// <summary>The source's config.json with `quantization_config` as compressed-tensors writes it.</summary>
    private static string Config(Checkpoint source, Quantization quantization)
    {
        string path = source.Config.SourcePath;
        JsonObject root;
        try
        {
            root = PythonJson.ReadObject(SmallFile.ReadText(path));
        }
        catch (JsonException e)                                        // in an entry that is copied and never read
        {
            throw new InvalidConfigurationException(path, null, $"is not valid JSON: {e.Message}", e);
        }
        bool isByte = quantization == Quantization.Int8;
        string format = isByte ? "int-quantized" : "pack-quantized";
        JsonObject Numbers(int bits, int? group, string strategy, bool dynamic) => new()
        {
            ["num_bits"] = bits,
            ["type"] = "int",
            ["symmetric"] = true,
            ["group_size"] = group,
            ["strategy"] = strategy,
            ["dynamic"] = dynamic,
        };
        root["quantization_config"] = new JsonObject
        {
            ["config_groups"] = new JsonObject
            {
                ["group_0"] = new JsonObject
                {
                    ["targets"] = new JsonArray("Linear"),
                    ["weights"] = isByte ? Numbers(8, null, "channel", false) : Numbers(4, (int)Quantizer.GroupSize, "group", false),
                    // Kernels for weights in int8 read activations in int8 too, rounded a token at a time as they come.
                    ["input_activations"] = isByte ? Numbers(8, null, "token", true) : null,
                    ["output_activations"] = null,
                    ["format"] = format,
                },
            },
            ["quant_method"] = "compressed-tensors",
            ["kv_cache_scheme"] = null,
            ["format"] = format,
            ["quantization_status"] = "compressed",
            ["global_compression_ratio"] = null,
            ["ignore"] = new JsonArray("lm_head", "re:.*embed.*", "re:.*router.*", "re:.*vision.*", "re:.*self_conditioning.*"),
        };
        return root.ToJsonString(CheckpointWriter.IndexFormat) + "\n";
    }
}
