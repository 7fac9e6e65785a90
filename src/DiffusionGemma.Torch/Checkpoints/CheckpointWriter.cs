using System.Text.Encodings.Web;
using System.Text.Json;
using System.Text.RegularExpressions;
using static TorchSharp.torch;

namespace DiffusionGemma;

/// <summary>
/// Writes a checkpoint folder with some new tensors and the source's bytes for all others. Tensors are copied in pieces from the mapped
/// file or from their device, never held in memory whole.
/// </summary>
internal static partial class CheckpointWriter
{
    /// <summary>The beginning of this library's own keys in the metadata of safetensors files.</summary>
    public const string OwnKeys = "diffusion_gemma.";

    /// <summary>Extensions of files with weights in any format, which are not copied as companions.</summary>
    private static readonly string[] WeightExtensions =
    [
        ".safetensors", ".safetensors.index.json", ".bin", ".bin.index.json", ".pt", ".pth", ".ckpt", ".gguf", ".h5", ".msgpack", ".onnx",
        ".zip", ".tmp",
    ];

    public static readonly JsonSerializerOptions IndexFormat =
        new() { WriteIndented = true, NewLine = "\n", Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping };

    /// <summary>Writes the folder; if anything fails, it is left as it was.</summary>
    /// <param name="source">The source of every tensor that was not trained, and of every file without weights.</param>
    /// <param name="outputFolder">Created if missing. Its weights and configuration are replaced when everything is written; its other
    /// files stay.</param>
    /// <param name="trained">By checkpoint name, of any floating dtype, device and strides; stored in the source's dtype.</param>
    /// <param name="maxShardBytes">
    /// The size above which the weights are split, at whole tensors. Null: the same files as the source's.
    /// </param>
    /// <param name="edits">
    /// By checkpoint name, a function that computes the tensor to store from one that reads the trained or source tensor; called one at a
    /// time. Null: none.
    /// </param>
    /// <exception cref="ArgumentException">A trained tensor is not the model's, or has another shape or no floating dtype; or the output
    /// folder is the source's.</exception>
    /// <exception cref="CheckpointException">The folder cannot be written; its content is unchanged.</exception>
    public static void Save(
        Checkpoint source, string outputFolder, IReadOnlyDictionary<string, Tensor> trained, long? maxShardBytes = null,
        IReadOnlyDictionary<string, Func<Func<Tensor>, Tensor>>? edits = null)
    {
        if (maxShardBytes <= 0)
            throw new ArgumentOutOfRangeException(nameof(maxShardBytes), maxShardBytes, "A shard must have at least one byte.");
        CheckTrained(source, trained);
        if (FolderPath.AreSame(source.Folder, outputFolder))
            throw new ArgumentException(
                $"{outputFolder} is the folder that the checkpoint was loaded from: its weights are in use, and adapters trained on " +
                "them would lose their base. Save to another folder.",
                nameof(outputFolder));

        IReadOnlyList<Shard> shards = Plan(source.Weights, maxShardBytes);
        try
        {
            using var update = new FolderUpdate(outputFolder);
            var sums = new Checksums();
            var metadata = new Dictionary<string, string>(
                source.Weights.Metadata.Where(entry => entry.Key.StartsWith(OwnKeys, StringComparison.Ordinal)))
            {
                ["format"] = "pt",                                                       // transformers rejects a file without it
            };
            foreach (Shard shard in shards)
            {
                TensorSource[] tensors = [.. shard.Tensors.Select(name => Source(source, name, trained, edits))];
                sums.Add(shard.File, SafetensorsWriter.Write(update.PathOf(shard.File), tensors, metadata));
            }
            if (shards is not [{ File: SafetensorsFile.SingleFileName }])
                File.WriteAllText(update.PathOf(SafetensorsIndex.FileName), Index(source.Weights, shards));
            foreach (string path in Directory.EnumerateFiles(source.Folder).Where(IsCompanion))
                File.Copy(path, update.PathOf(Path.GetFileName(path)));
            sums.Complete(update.Folder);
            update.Commit(IsWeights, name => name is SafetensorsIndex.FileName or SafetensorsFile.SingleFileName);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new CheckpointException(
                outputFolder, $"cannot be written: {(e.InnerException ?? e).Message.TrimEnd('.')}. An existing checkpoint is unchanged. " +
                "Name a folder that may be written to and has room.", e);
        }
    }

    private static void CheckTrained(Checkpoint source, IReadOnlyDictionary<string, Tensor> trained)
    {
        IReadOnlyDictionary<string, long[]> expected = CheckpointLayout.Expected(source.Config);
        foreach ((string name, Tensor tensor) in trained)
            if (!expected.TryGetValue(name, out long[]? shape))
                throw new ArgumentException($"{name} is no text tensor of {source.Folder}.", nameof(trained));
            else if (!tensor.shape.SequenceEqual(shape))
                throw new ArgumentException(
                    $"{name} has shape [{string.Join(", ", tensor.shape)}] instead of [{string.Join(", ", shape)}].", nameof(trained));
            else if (!SafetensorsDTypes.IsFloating(tensor.dtype))
                throw new ArgumentException($"{name} is {tensor.dtype}; a floating dtype was expected.", nameof(trained));
    }

    /// <summary>Returns the source of a stored tensor; that of a tied copy is the tensor that it is tied to.</summary>
    private static TensorSource Source(
        Checkpoint source, string name, IReadOnlyDictionary<string, Tensor> trained,
        IReadOnlyDictionary<string, Func<Func<Tensor>, Tensor>>? edits)
    {
        string original = CheckpointLayout.TiedTo(name) ?? name;
        Tensor? tensor = trained.GetValueOrDefault(original);
        TensorInfo stored = source.Weights.Tensors[name];
        if (edits?.GetValueOrDefault(original) is { } edit)
            return new TensorSource(name, stored.DType, stored.Shape, stream =>
            {
                using IDisposable quiet = no_grad();
                using var scope = NewDisposeScope();
                TensorSource.FromTensor(name, edit(() => tensor ?? source.Read(original)), stored.DType).WriteTo(stream);
            });
        return tensor is null ? TensorSource.FromFile(source.Weights, name) : TensorSource.FromTensor(name, tensor, stored.DType);
    }

    private static IReadOnlyList<Shard> Plan(SafetensorsFile source, long? maxShardBytes)
    {
        if (maxShardBytes is null)
            return source.Index is { } index
                ? [.. index.Files.GroupBy(pair => pair.Value, pair => pair.Key).Select(file => new Shard(file.Key, [.. file]))]
                : [new Shard(SafetensorsFile.SingleFileName, [.. source.Tensors.Keys])];

        var shards = new List<List<string>> { new() };
        long room = maxShardBytes.Value;
        foreach (TensorInfo tensor in source.Tensors.Values)
        {
            if (tensor.Length > room && shards[^1].Count > 0)
            {
                shards.Add([]);
                room = maxShardBytes.Value;
            }
            shards[^1].Add(tensor.Name);
            room -= tensor.Length;
        }
        return shards.Count == 1
            ? [new Shard(SafetensorsFile.SingleFileName, shards[0])]
            : [.. shards.Select((names, n) => new Shard($"model-{n + 1:D5}-of-{shards.Count:D5}.safetensors", names))];
    }

    /// <summary>
    /// Returns the text of the index in the form of transformers: the source's metadata, the present total size, the names sorted.
    /// </summary>
    private static string Index(SafetensorsFile source, IReadOnlyList<Shard> shards)
    {
        var metadata = new SortedDictionary<string, object>(StringComparer.Ordinal);
        if (source.Index is { Metadata.ValueKind: JsonValueKind.Object } index)
            foreach (JsonProperty entry in index.Metadata.EnumerateObject())
                metadata[entry.Name] = entry.Value;
        metadata["total_size"] = source.Tensors.Values.Sum(tensor => tensor.Length);

        var map = new SortedDictionary<string, string>(StringComparer.Ordinal);
        foreach (Shard shard in shards)
            foreach (string name in shard.Tensors)
                map[name] = shard.File;
        return JsonSerializer.Serialize(new { metadata, weight_map = map }, IndexFormat) + "\n";
    }

    /// <summary>
    /// Returns true for a file to copy: config.json, tokenizer, templates, model card. An adapter's files would make it another model.
    /// </summary>
    public static bool IsCompanion(string path)
    {
        string name = Path.GetFileName(path);
        return name[0] != '.' && name is not ("adapter_config.json" or Checksums.FileName)
            && !WeightExtensions.Any(extension => name.EndsWith(extension, StringComparison.OrdinalIgnoreCase));
    }

    public static bool IsWeights(string name) => name == SafetensorsIndex.FileName || WeightFile().IsMatch(name);

    [GeneratedRegex(@"^model(-\d+-of-\d+)?\.safetensors$")]
    private static partial Regex WeightFile();

    private sealed record Shard(string File, IReadOnlyList<string> Tensors);
}
