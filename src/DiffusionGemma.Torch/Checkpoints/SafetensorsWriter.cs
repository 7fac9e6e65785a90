using System.Buffers;
using System.Buffers.Binary;
using System.Security.Cryptography;
using System.Text.Encodings.Web;
using System.Text.Json;

namespace DiffusionGemma;

/// <summary>Writes one safetensors file with the same bytes as the reference implementation.</summary>
internal static class SafetensorsWriter
{
    /// <summary>Writes under a temporary name, then renames.</summary>
    /// <returns>The SHA-256 digest of the file, in lower-case hexadecimal.</returns>
    public static string Write(string path, IReadOnlyList<TensorSource> tensors, IReadOnlyDictionary<string, string>? metadata)
    {
        foreach (TensorSource tensor in tensors)
        {
            if (tensor.Name == SafetensorsHeader.MetadataKey)
                throw new CheckpointException(path, tensor.Name, "has a name that the format reserves.");
            if (tensor.Format is null)
                throw new CheckpointException(
                    path, tensor.Name, $"is {tensor.DType}; the format holds {SafetensorsDTypes.All}. Convert it first.");
        }

        string temporary = $"{path}.{Guid.NewGuid():N}.tmp";
        using var hash = SHA256.Create();
        try
        {
            using (var stream = new FileStream(temporary, FileMode.CreateNew, FileAccess.Write, FileShare.None, bufferSize: 1 << 16))
            {
                TensorSource[] ordered =
                [
                    .. tensors.OrderBy(tensor => SafetensorsDTypes.Order(tensor.Format!))
                        .ThenBy(tensor => tensor.Name, StringComparer.Ordinal),
                ];
                using (var hashed = new CryptoStream(stream, hash, CryptoStreamMode.Write, leaveOpen: true))
                {
                    WriteHeader(hashed, ordered, metadata);
                    foreach (TensorSource tensor in ordered) tensor.WriteTo(hashed);
                }
                stream.Flush(flushToDisk: true);
            }
            File.Move(temporary, path, overwrite: true);
            return Convert.ToHexStringLower(hash.Hash!);
        }
        catch (Exception e) when (e is UnauthorizedAccessException or IOException and not CheckpointException)
        {
            throw new CheckpointException(
                path, $"cannot be written: {e.Message} An existing file is unchanged. " +
                "Name a folder that exists, may be written to and has room.", e);
        }
        finally
        {
            if (File.Exists(temporary)) File.Delete(temporary);
        }
    }

    private static void WriteHeader(Stream stream, IReadOnlyList<TensorSource> tensors, IReadOnlyDictionary<string, string>? metadata)
    {
        var header = new ArrayBufferWriter<byte>();
        using (var json = new Utf8JsonWriter(header, new JsonWriterOptions { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping }))
        {
            json.WriteStartObject();
            if (metadata is { Count: > 0 })
            {
                json.WriteStartObject(SafetensorsHeader.MetadataKey);
                foreach ((string key, string text) in metadata.OrderBy(pair => pair.Key, StringComparer.Ordinal))
                    json.WriteString(key, text);
                json.WriteEndObject();
            }
            long offset = 0;
            foreach (TensorSource tensor in tensors)
            {
                json.WriteStartObject(tensor.Name);
                json.WriteString("dtype", tensor.Format);
                WriteNumbers(json, "shape", tensor.Shape);
                WriteNumbers(json, "data_offsets", [offset, offset += tensor.Length]);
                json.WriteEndObject();
            }
            json.WriteEndObject();
        }
        int padded = (header.WrittenCount + 7) / 8 * 8;                                  // the tensors begin at a multiple of 8
        header.GetSpan(8)[..(padded - header.WrittenCount)].Fill((byte)' ');
        header.Advance(padded - header.WrittenCount);

        Span<byte> length = stackalloc byte[8];
        BinaryPrimitives.WriteInt64LittleEndian(length, padded);
        stream.Write(length);
        stream.Write(header.WrittenSpan);
    }

    private static void WriteNumbers(Utf8JsonWriter json, string name, IReadOnlyList<long> numbers)
    {
        json.WriteStartArray(name);
        foreach (long number in numbers) json.WriteNumberValue(number);
        json.WriteEndArray();
    }
}
