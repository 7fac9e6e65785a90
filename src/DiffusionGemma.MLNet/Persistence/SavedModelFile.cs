using System.IO.Compression;

namespace DiffusionGemma;

/// <summary>Checks of a saved model's file that come before ML.NET reads it.</summary>
internal static class SavedModelFile
{
    private const long SmallBytes = 64 << 20;

    /// <summary>Weights compress by a tenth, text by a factor of five; a run of equal bytes by a thousand.</summary>
    private const int LargestRatio = 100;

    /// <summary>Refuses a zip with an entry that takes far more room than its compressed bytes suggest.</summary>
    /// <exception cref="FormatException">There is such an entry.</exception>
    /// <exception cref="IOException">It is a pipe or a device.</exception>
    public static void RequireSizes(string path)
    {
        try
        {
            using ZipArchive zip = ZipFile.OpenRead(RegularFile.Require(path));
            foreach (ZipArchiveEntry entry in zip.Entries)
                if (entry.Length > SmallBytes && entry.Length / LargestRatio > entry.CompressedLength)
                    throw new FormatException(
                        $"{path} is refused: {entry.FullName} would be {entry.Length:N0} bytes, more than {LargestRatio} times as large as "
                        + "in the zip. Save the model again.");
        }
        catch (InvalidDataException)
        {
            // No zip: ML.NET says so.
        }
    }
}
