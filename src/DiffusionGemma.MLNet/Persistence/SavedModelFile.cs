using System.Buffers.Binary;
using System.IO.Compression;

namespace DiffusionGemma;

/// <summary>Checks of a saved model's file that come before ML.NET reads it.</summary>
internal static class SavedModelFile
{
    private const long SmallBytes = 64 << 20;

    /// <summary>Weights compress by a tenth, text by a factor of five; a run of equal bytes by a thousand.</summary>
    private const int LargestRatio = 100;

    /// <summary>
    /// Refuses a zip with an entry that takes far more room than its compressed bytes suggest, or with a chain that claims to have more
    /// parts than it describes: ML.NET makes room for all of them first.
    /// </summary>
    /// <exception cref="FormatException">There is such an entry, or it is no zip.</exception>
    /// <exception cref="IOException">It is a pipe or a device.</exception>
    public static void Require(string path)
    {
        try
        {
            using ZipArchive zip = ZipFile.OpenRead(RegularFile.Require(path));
            foreach (ZipArchiveEntry entry in zip.Entries)
            {
                if (entry.Length > SmallBytes && entry.Length / LargestRatio > entry.CompressedLength)
                    throw new FormatException(
                        $"{path} is refused: {entry.FullName} would be {entry.Length:N0} bytes, more than {LargestRatio} times as large as "
                        + "in the zip. Save the model again.");
                if (IsDescription(entry) && Parts(entry) is { Claimed: var claimed, Described: var described } && claimed > described)
                    throw new FormatException(
                        $"{path} is damaged: {entry.FullName} claims {claimed:N0} parts and describes {described:N0}. Save the model "
                        + "again.");
            }
        }
        catch (InvalidDataException e)
        {
            throw new FormatException(
                $"{path} cannot be loaded: it is no saved model, or is damaged ({e.Message.TrimEnd('.')}). Save the model again.", e);
        }
    }

    private static bool IsDescription(ZipArchiveEntry entry) =>
        entry.FullName.Replace('\\', '/') is var name && (name == "Model.key" || name.EndsWith("/Model.key", StringComparison.Ordinal));

    /// <summary>The number of a chain's parts, and of those that it describes; null: it is no chain, or is cut off.</summary>
    /// <remarks>
    /// ML.NET's header of a model: at 16 and 24 where the content is and its bytes, at 64 the kind. A chain's content is the number of its
    /// parts, and a number for each.
    /// </remarks>
    private static (long Claimed, long Described)? Parts(ZipArchiveEntry entry)
    {
        Span<byte> header = stackalloc byte[72], count = stackalloc byte[sizeof(int)];
        using Stream stream = entry.Open();
        if (stream.ReadAtLeast(header, header.Length, throwOnEndOfStream: false) < header.Length
            || !header[64..].SequenceEqual("XF\0CHAIN"u8))
            return null;
        long content = BinaryPrimitives.ReadInt64LittleEndian(header[16..]), bytes = BinaryPrimitives.ReadInt64LittleEndian(header[24..]);
        for (long at = header.Length; at < content; at++)
            if (stream.ReadByte() < 0) return null;
        return stream.ReadAtLeast(count, count.Length, throwOnEndOfStream: false) < count.Length
            ? null : (BinaryPrimitives.ReadUInt32LittleEndian(count), Math.Max(bytes, 0) / sizeof(int) - 1);
    }
}
