using static TorchSharp.torch;

namespace DiffusionGemma;

/// <summary>
/// The memory-mapped tensors of one safetensors file, or of a folder's files. <see cref="Open"/> reads only the headers and checks
/// lengths, offsets, overlaps, shapes and dtypes.
/// </summary>
/// <remarks>Threads may read at the same time; none may read while another disposes.</remarks>
public sealed class SafetensorsFile : IDisposable
{
    internal const string SingleFileName = "model.safetensors";

    private readonly Dictionary<string, MappedFile> _files;

    private SafetensorsFile(
        Dictionary<string, MappedFile> files,
        IReadOnlyDictionary<string, TensorInfo> tensors,
        IReadOnlyDictionary<string, string> metadata,
        SafetensorsIndex? index)
    {
        _files = files;
        Tensors = tensors;
        Metadata = metadata;
        Index = index;
    }

    /// <summary>Every tensor by its name, in the order of the files and of their bytes.</summary>
    public IReadOnlyDictionary<string, TensorInfo> Tensors { get; }

    /// <summary>The metadata of the headers (`format`: `pt`); if files of a folder differ, the first one's.</summary>
    public IReadOnlyDictionary<string, string> Metadata { get; }

    /// <summary>The folder's index; null without one.</summary>
    internal SafetensorsIndex? Index { get; }

    /// <summary>The files, by name.</summary>
    internal IEnumerable<MappedFile> Files => _files.Values;

    /// <summary>
    /// Opens a safetensors file, or the weights of a folder: those of model.safetensors.index.json, or else model.safetensors.
    /// </summary>
    /// <param name="path">A file or a folder.</param>
    /// <exception cref="CheckpointException">
    /// Something is missing, cut off, contradictory or not supported; names the file and the tensor.
    /// </exception>
    public static SafetensorsFile Open(string path)
    {
        ArgumentException.ThrowIfNullOrEmpty(path);
        if (!Directory.Exists(path)) return OpenFiles(Path.GetDirectoryName(path) ?? "", [Path.GetFileName(path)], index: null);

        bool single = File.Exists(Path.Combine(path, SingleFileName));
        if (!File.Exists(Path.Combine(path, SafetensorsIndex.FileName)))
            return single
                ? OpenFiles(path, [SingleFileName], index: null)
                : throw new CheckpointException(
                    path, GgufFiles.Describe(path) ?? $"holds neither {SingleFileName} nor {SafetensorsIndex.FileName}. " +
                    "Name the folder of a checkpoint in safetensors files.");
        // transformers and other libraries differ in which one they read.
        if (single)
            throw new CheckpointException(
                path, $"holds both {SingleFileName} and {SafetensorsIndex.FileName}, which may differ. Remove the one that is not meant.");
        SafetensorsIndex index = SafetensorsIndex.Read(Path.Combine(path, SafetensorsIndex.FileName));
        return OpenFiles(path, index.Files.Values.Distinct().Order(StringComparer.Ordinal), index);
    }

    /// <summary>Copies a tensor out of the file.</summary>
    /// <param name="name">Its name.</param>
    /// <param name="device">The device of the result; the CPU if null.</param>
    /// <param name="dtype">The dtype of the result; the stored one if null.</param>
    /// <returns>A new tensor that owns its memory, of the stored shape; the caller disposes it.</returns>
    /// <exception cref="CheckpointException">There is no such tensor, or another program has changed the file since it was
    /// opened.</exception>
    public Tensor Read(string name, Device? device = null, ScalarType? dtype = null) => ReadPart(name, device, dtype, part: null);

    /// <summary>Copies a part of a tensor out of the file; no byte outside it is read.</summary>
    /// <param name="name">Its name.</param>
    /// <param name="device">The device of the result; the CPU if null.</param>
    /// <param name="dtype">The dtype of the result; the stored one if null.</param>
    /// <param name="part">Returns a view of the tensor; null: the whole.</param>
    internal Tensor ReadPart(string name, Device? device, ScalarType? dtype, Func<Tensor, Tensor>? part)
    {
        DiffusionGemmaRuntime.EnsureUsable(device);
        using IDisposable quiet = no_grad();
        using var scope = NewDisposeScope();
        TensorInfo info = Info(name);
        ScalarType target = dtype ?? info.DType;
        Device place = device ?? CPU;
        Tensor mapped = info.Length == 0 ? empty([.. info.Shape], info.DType, CPU) : Map(info), view = part is null ? mapped : part(mapped);
        Tensor read = view.to(target, place, copy: true).contiguous();
        MappedFile file = _files[Path.GetFileName(info.File)];
        file.RequireUnchanged();
        file.ReleasePages(info.Offset, info.Length);
        return read.MoveToOuterDisposeScope();
    }

    /// <summary>
    /// Writes a safetensors file under a temporary name and renames it at the end: an existing file stays until the new one is complete.
    /// </summary>
    /// <param name="path">The file; its folder must exist.</param>
    /// <param name="tensors">Tensors of any strides and device, each written in its own dtype, in the format's order.</param>
    /// <param name="metadata">Metadata for the header; transformers requires `format`: `pt`.</param>
    /// <exception cref="CheckpointException">The file cannot be written, or the format has no name for a tensor's dtype.</exception>
    public static void Write(
        string path, IReadOnlyDictionary<string, Tensor> tensors, IReadOnlyDictionary<string, string>? metadata = null) =>
        SafetensorsWriter.Write(path, [.. tensors.Select(pair => TensorSource.FromTensor(pair.Key, pair.Value))], metadata);

    /// <summary>Closes the files. Tensors that were read stay valid.</summary>
    public void Dispose()
    {
        foreach (MappedFile file in _files.Values) file.Dispose();
    }

    internal TensorInfo Info(string name) =>
        Tensors.TryGetValue(name, out TensorInfo? info)
            ? info
            : throw new CheckpointException(string.Join(", ", _files.Values.Select(file => file.Path)), name, "is not there.");

    /// <summary>Returns the address of a tensor's first byte in the mapping, read-only and valid until <see cref="Dispose"/>.</summary>
    internal unsafe byte* Bytes(string name)
    {
        TensorInfo info = Info(name);
        return _files[Path.GetFileName(info.File)].At(info.Offset);
    }

    /// <summary>Releases the pages of a tensor that was read through <see cref="Map(string)"/>.</summary>
    internal void ReleasePages(string name)
    {
        TensorInfo info = Info(name);
        _files[Path.GetFileName(info.File)].ReleasePages(info.Offset, info.Length);
    }

    /// <summary>Returns a tensor over the mapping itself, valid until <see cref="Dispose"/>, or over a copy if it lies unaligned.</summary>
    internal Tensor Map(string name) => Info(name) is { Length: > 0 } info ? Map(info) : empty([.. Info(name).Shape], Info(name).DType);

    /// <summary>Returns a tensor over the mapping itself, or over a copy if the header leaves it unaligned.</summary>
    private unsafe Tensor Map(TensorInfo info)
    {
        byte* bytes = Bytes(info.Name);
        if ((nuint)bytes % (nuint)SafetensorsDTypes.Size(info.DType) == 0)
            return NativeTensors.FromMemory(bytes, [.. info.Shape], info.DType);
        Tensor copy = empty([.. info.Shape], info.DType, CPU);
        Buffer.MemoryCopy(bytes, NativeTensors.Data(copy), info.Length, info.Length);
        return copy;
    }

    private static SafetensorsFile OpenFiles(string folder, IEnumerable<string> names, SafetensorsIndex? index)
    {
        var files = new Dictionary<string, MappedFile>();
        try
        {
            var tensors = new Dictionary<string, TensorInfo>();
            var metadata = new Dictionary<string, string>();
            foreach (string name in names)
            {
                MappedFile file = MappedFile.Open(Path.Combine(folder, name));
                files.Add(name, file);
                (IReadOnlyList<TensorInfo> found, IReadOnlyDictionary<string, string> texts) = SafetensorsHeader.Read(file);
                foreach (TensorInfo tensor in found.OrderBy(tensor => tensor.Offset))
                    if (!tensors.TryAdd(tensor.Name, tensor))
                        throw new CheckpointException(file.Path, tensor.Name, $"is also in {tensors[tensor.Name].File}. Remove one.");
                foreach ((string key, string text) in texts) metadata.TryAdd(key, text);
            }
            if (index is not null) CheckAgainst(index, tensors, folder);
            return new SafetensorsFile(files, tensors, metadata, index);
        }
        catch
        {
            foreach (MappedFile file in files.Values) file.Dispose();
            throw;
        }
    }

    private static void CheckAgainst(SafetensorsIndex index, Dictionary<string, TensorInfo> tensors, string folder)
    {
        string path = Path.Combine(folder, SafetensorsIndex.FileName);
        foreach ((string name, string file) in index.Files)
            if (!tensors.TryGetValue(name, out TensorInfo? tensor))
                throw new CheckpointException(
                    path, name, $"is assigned to {file}, but is not there. Fetch or copy {file} and the index again.");
            else if (Path.GetFileName(tensor.File) != file)
                throw new CheckpointException(
                    path, name, $"is assigned to {file}, but is in {tensor.File}. Fetch or copy both and the index again.");
        foreach (TensorInfo tensor in tensors.Values)
            if (!index.Files.ContainsKey(tensor.Name))
                throw new CheckpointException(tensor.File, tensor.Name, $"is not in {path}. Fetch or copy both again.");
    }
}
