using System.Security.Cryptography;

namespace DiffusionGemma;

/// <summary>Hashes a weight file without reading all its bytes.</summary>
internal static class WeightSample
{
    private const int SampleBytes = 1 << 20;
    private const int BlockBytes = 4096;

    /// <summary>Appends a file's header and 1 MiB of its tensors' bytes, first and last block included; all if there are fewer.</summary>
    /// <returns>True if every byte was appended.</returns>
    public static bool Append(IncrementalHash hash, MappedFile file)
    {
        long start = SafetensorsHeader.End(file), length = file.Length - start;
        hash.AppendData(file.Bytes(0, (int)start));
        if (length <= SampleBytes)
        {
            hash.AppendData(file.Bytes(start, (int)length));
            return true;
        }
        const int blocks = SampleBytes / BlockBytes;
        for (int n = 0; n < blocks; n++)
            hash.AppendData(file.Bytes(start + (long)((Int128)(length - BlockBytes) * n / (blocks - 1)), BlockBytes));
        return false;
    }
}
