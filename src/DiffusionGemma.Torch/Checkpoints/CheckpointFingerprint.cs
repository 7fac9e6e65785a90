using System.Buffers.Binary;
using System.Security.Cryptography;
using System.Text;

namespace DiffusionGemma;

/// <summary>
/// Computes a hash that distinguishes base checkpoints without reading all their bytes, to find the base that an adapter was trained on.
/// </summary>
/// <remarks>
/// SHA-256 over config.json's bytes and, for each weight file in the order of its names: name, length, header and 1 MiB of its tensors'
/// bytes, sampled evenly (all of them if there are fewer). The folder's path does not matter. A change of bytes that are not sampled is
/// not detected: two fine-tunings of one base differ nearly everywhere and get different hashes, a single changed element may not.
/// </remarks>
public static class CheckpointFingerprint
{
    /// <summary>Computes the fingerprint of a checkpoint.</summary>
    /// <param name="folder">A Hugging Face folder.</param>
    /// <returns>64 hexadecimal digits.</returns>
    /// <exception cref="InvalidConfigurationException">config.json is missing or invalid.</exception>
    /// <exception cref="CheckpointException">A weight file is missing or broken.</exception>
    public static string Compute(string folder)
    {
        using SafetensorsFile weights = SafetensorsFile.Open(folder);
        using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        Append(hash, File.ReadAllBytes(DiffusionGemmaConfig.Load(folder).SourcePath));
        foreach (MappedFile file in weights.Files.OrderBy(file => Path.GetFileName(file.Path), StringComparer.Ordinal))
        {
            Append(hash, Encoding.UTF8.GetBytes(Path.GetFileName(file.Path)));
            Append(hash, file.Length);
            WeightSample.Append(hash, file);
        }
        return Convert.ToHexStringLower(hash.GetHashAndReset());
    }

    /// <summary>Appends a part after its length, so that different sequences of parts give different bytes.</summary>
    private static void Append(IncrementalHash hash, byte[] part)
    {
        Append(hash, part.Length);
        hash.AppendData(part);
    }

    private static void Append(IncrementalHash hash, long number)
    {
        Span<byte> bytes = stackalloc byte[8];
        BinaryPrimitives.WriteInt64LittleEndian(bytes, number);
        hash.AppendData(bytes);
    }
}
