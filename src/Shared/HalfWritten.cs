namespace DiffusionGemma;

/// <summary>Files that a failed write leaves under their temporary names.</summary>
internal static class HalfWritten
{
    /// <summary>Deletes one. Where that fails too, as on a disk that became read-only, the first exception is the one to see.</summary>
    public static void Delete(string path)
    {
        try
        {
            File.Delete(path);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
        }
    }
}
