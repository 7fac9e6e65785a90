using System.Buffers.Binary;
using System.Text;
using System.Text.Json;
using static TorchSharp.torch;

namespace DiffusionGemma;

/// <summary>
/// Reads and checks the header of a safetensors file: 8 bytes (the length of the JSON, little-endian), then JSON: name -> dtype, shape, and
/// begin and end of the bytes, counted from the end of the JSON.
/// </summary>
internal static class SafetensorsHeader
{
    public const string MetadataKey = "__metadata__";

    /// <summary>The format's own limit.</summary>
    private const long MaximumLength = 100_000_000;

    /// <summary>libtorch's own limit.</summary>
    private const int MaximumRank = 64;

    private static readonly UTF8Encoding StrictUtf8 = new(encoderShouldEmitUTF8Identifier: false, throwOnInvalidBytes: true);

    /// <summary>Returns the offset of the first byte after the header.</summary>
    public static long End(MappedFile file)
    {
        if (file.Length < 8)
            throw new CheckpointException(
                file.Path, $"has {file.Length} bytes and is not a safetensors file, or was cut off. Fetch or copy it again.");
        ulong length = BinaryPrimitives.ReadUInt64LittleEndian(file.Bytes(0, 8));
        if (length > MaximumLength || (long)length > file.Length - 8)
            throw new CheckpointException(file.Path,
                $"declares a header of {length} bytes, but the file has {file.Length} and a header at most {MaximumLength}: it is " +
                "not a safetensors file, or was cut off. Fetch or copy it again.");
        return 8 + (long)length;
    }

    public static (IReadOnlyList<TensorInfo> Tensors, IReadOnlyDictionary<string, string> Metadata) Read(MappedFile file)
    {
        long end = End(file);
        try
        {
            string json = StrictUtf8.GetString(file.Bytes(8, (int)(end - 8)));
            using JsonDocument document = JsonDocument.Parse(json, new JsonDocumentOptions { AllowDuplicateProperties = false });
            if (json[0] != '{')
                throw new CheckpointException(file.Path, "has a header that does not begin with {: it is not a safetensors file.");
            var tensors = new List<TensorInfo>();
            IReadOnlyDictionary<string, string> metadata = new Dictionary<string, string>();
            foreach (JsonProperty entry in document.RootElement.EnumerateObject())
                if (entry.Name == MetadataKey) metadata = ReadMetadata(entry.Value, file.Path);
                else tensors.Add(ReadTensor(entry.Name, entry.Value, file.Path, end));
            CheckTiling(tensors, file, end);
            return (tensors, metadata);
        }
        // Invalid UTF-8 or JSON, a duplicate name, or half a surrogate pair in a string.
        catch (Exception e) when (e is DecoderFallbackException or JsonException or InvalidOperationException)
        {
            throw new CheckpointException(file.Path, $"has a header that is not valid JSON: {e.Message} Fetch or copy it again.", e);
        }
    }

    private static Dictionary<string, string> ReadMetadata(JsonElement value, string path)
    {
        if (value.ValueKind == JsonValueKind.Null) return [];                                    // as the official reader takes it
        if (value.ValueKind != JsonValueKind.Object || value.EnumerateObject().Any(pair => pair.Value.ValueKind != JsonValueKind.String))
            throw new CheckpointException(path, $"has a {MetadataKey} that is not an object of strings.");
        return value.EnumerateObject().ToDictionary(pair => pair.Name, pair => pair.Value.GetString()!);
    }

    private static TensorInfo ReadTensor(string name, JsonElement entry, string path, long dataStart)
    {
        if (entry.ValueKind != JsonValueKind.Object
            || !entry.TryGetProperty("dtype", out JsonElement dtypeName)
            || dtypeName.ValueKind != JsonValueKind.String)
            throw new CheckpointException(path, name, "has no dtype in the header.");
        if (SafetensorsDTypes.Parse(dtypeName.GetString()!) is not ScalarType dtype)
            throw new CheckpointException(path, name, $"has dtype {dtypeName.GetString()}; supported are {SafetensorsDTypes.All}.");
        long[] shape = ReadIntegers(name, entry, "shape", path);
        if (shape.Length > MaximumRank)
            throw new CheckpointException(path, name, $"has {shape.Length} dimensions; supported are {MaximumRank}.");
        if (ReadIntegers(name, entry, "data_offsets", path) is not [var begin, var end] || begin > end)
            throw new CheckpointException(path, name, "has data_offsets that are not a begin and an end.");
        if (ByteLength(shape, SafetensorsDTypes.Size(dtype)) is not long length)
            throw new CheckpointException(path, name, $"has shape [{string.Join(", ", shape)}], whose product exceeds 63 bits.");
        if (length != end - begin)
            throw new CheckpointException(
                path, name,
                $"has shape [{string.Join(", ", shape)}] of {dtypeName.GetString()}, which does not match its {end - begin} bytes.");
        if (begin > long.MaxValue - dataStart) throw new CheckpointException(path, name, "begins beyond the end of the file.");
        return new TensorInfo(name, dtype, shape, path, dataStart + begin, length) { Format = dtypeName.GetString()! };
    }

    private static long[] ReadIntegers(string name, JsonElement entry, string key, string path)
    {
        if (!entry.TryGetProperty(key, out JsonElement list) || list.ValueKind != JsonValueKind.Array)
            throw new CheckpointException(path, name, $"has no {key} in the header.");
        var numbers = new long[list.GetArrayLength()];
        int n = 0;
        foreach (JsonElement item in list.EnumerateArray())
            if (item.ValueKind != JsonValueKind.Number || !item.TryGetInt64(out numbers[n++]) || numbers[n - 1] < 0)
                throw new CheckpointException(path, name, $"has {key} that are not all integers from zero up.");
        return numbers;
    }

    /// <summary>
    /// Returns the number of bytes, or null if it exceeds 63 bits. Dimensions of an empty tensor count too: its strides are their products.
    /// </summary>
    private static long? ByteLength(long[] shape, int size)
    {
        Int128 length = size;
        foreach (long dimension in shape)
            if ((length *= Math.Max(dimension, 1)) > long.MaxValue)
                return null;
        return shape.Contains(0) ? 0 : (long)length;
    }

    /// <summary>
    /// Checks that the tensors cover the file from the header to its end without gaps and overlaps.
    /// </summary>
    private static void CheckTiling(List<TensorInfo> tensors, MappedFile file, long dataStart)
    {
        long expected = dataStart;
        foreach (TensorInfo tensor in tensors.OrderBy(tensor => tensor.Offset).ThenBy(tensor => tensor.Length))
        {
            if (tensor.Offset != expected)
                throw new CheckpointException(
                    file.Path, tensor.Name, tensor.Offset < expected
                        ? "overlaps the tensor before it." : $"leaves a gap of {tensor.Offset - expected} bytes before it.");
            if (tensor.Length > file.Length - tensor.Offset)
                throw new CheckpointException(
                    file.Path, tensor.Name, "extends beyond the end of the file: the file was cut off. Fetch or copy it again.");
            expected += tensor.Length;
        }
        if (expected != file.Length)
            throw new CheckpointException(file.Path, $"has {file.Length - expected} bytes after its last tensor. Fetch or copy it again.");
    }
}
