namespace DiffusionGemma;

/// <summary>
/// A lock against other processes by a file: flock, or on Windows an opening that shares nothing, as the Python client's locks are. The
/// system lets go of it when the process ends, however that ends; the file stays, because deleting it would part two that wait for it.
/// </summary>
internal sealed class FileLock : IDisposable
{
    private static readonly TimeSpan Interval = TimeSpan.FromMilliseconds(100);

    private readonly FileStream _file;

    private FileLock(FileStream file) => _file = file;

    /// <summary>Takes the lock, waiting for as long as another holds it.</summary>
    /// <param name="path">The lock's file; its folder is made.</param>
    /// <param name="waiting">Called once if another holds it.</param>
    /// <param name="cancellation">Ends the wait.</param>
    public static async Task<FileLock> TakeAsync(string path, Action waiting, CancellationToken cancellation)
    {
        Directory.CreateDirectory(Path.GetDirectoryName(path)!);
        for (bool first = true; ; first = false)
        {
            cancellation.ThrowIfCancellationRequested();
            try
            {
                // .NET takes an flock for FileShare.None, and the system's own sharing rules on Windows.
                return new FileLock(new FileStream(path, FileMode.OpenOrCreate, FileAccess.ReadWrite, FileShare.None));
            }
            catch (IOException e) when (IsHeld(e))
            {
                if (first) waiting();
                await Task.Delay(Interval, cancellation).ConfigureAwait(false);
            }
        }
    }

    public void Dispose() => _file.Dispose();

    /// <summary>EWOULDBLOCK of Linux and macOS, ERROR_SHARING_VIOLATION and ERROR_LOCK_VIOLATION of Windows.</summary>
    private static bool IsHeld(IOException e) => OperatingSystem.IsWindows() ? (e.HResult & 0xFFFF) is 32 or 33 : e.HResult is 11 or 35;
}
