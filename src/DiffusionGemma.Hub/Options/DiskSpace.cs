namespace DiffusionGemma;

/// <summary>Room on disks.</summary>
internal static class DiskSpace
{
    /// <returns>The free bytes of the disk that holds a folder; null where the system does not say, as of a network share.</returns>
    public static long? Free(string folder)
    {
        try
        {
            return new DriveInfo(OperatingSystem.IsWindows() ? Path.GetPathRoot(folder)! : folder).AvailableFreeSpace;
        }
        catch (Exception e) when (e is IOException or ArgumentException or UnauthorizedAccessException)
        {
            return null;
        }
    }
}
