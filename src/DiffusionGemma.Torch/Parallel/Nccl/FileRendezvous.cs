using System.Diagnostics;

namespace DiffusionGemma;

/// <summary>
/// Distributes some bytes (NCCL's unique id) from rank 0 to every other rank through a file in a folder that all of them see. Who may write
/// to the folder may join the run: the file system's rights take the place of a secret.
/// </summary>
internal static class FileRendezvous
{
    /// <summary>The environment variable that names the folder, the same for all processes: a new one for each run.</summary>
    public const string Variable = "DIFFUSIONGEMMA_RENDEZVOUS";

    private const string FileName = "nccl-unique-id";

    private static readonly TimeSpan RetryInterval = TimeSpan.FromMilliseconds(100);

    /// <summary>Rank 0: writes the bytes, whole at once, for the others to find.</summary>
    /// <returns>Deletes the file; to be disposed when all ranks have connected.</returns>
    /// <exception cref="ProcessGroupException">The folder cannot be written to, or holds the file of another run.</exception>
    public static IDisposable Publish(string folder, byte[] bytes)
    {
        string path = Path.Combine(folder, FileName), temporary = $"{path}.{Guid.NewGuid():N}";
        try
        {
            Directory.CreateDirectory(folder);
            File.WriteAllBytes(temporary, bytes);
            if (!OperatingSystem.IsWindows()) File.SetUnixFileMode(temporary, UnixFileMode.UserRead | UnixFileMode.UserWrite);
            try
            {
                File.Move(temporary, path);
            }
            catch (IOException e) when (File.Exists(path))
            {
                throw new ProcessGroupException(
                    $"{path} is there already: another run uses the folder, or one that was ended left it. Name a new folder by "
                        + $"{Variable} for "
                        + "each run, or delete the file.", e);
            }
            finally
            {
                File.Delete(temporary);
            }
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new ProcessGroupException($"Rank 0 cannot write to {folder} ({Variable}): {e.Message}", e);
        }
        return new Published(path);
    }

    /// <summary>Another rank: waits for the file and reads it.</summary>
    /// <exception cref="ProcessGroupException">The time is over, or the file cannot be read.</exception>
    public static byte[] Fetch(string folder, int rank, TimeSpan timeout)
    {
        string path = Path.Combine(folder, FileName);
        long start = Stopwatch.GetTimestamp();
        while (true)
        {
            try
            {
                return File.ReadAllBytes(path);
            }
            catch (Exception e) when (e is FileNotFoundException or DirectoryNotFoundException)
            {
                if (timeout != Timeout.InfiniteTimeSpan && Stopwatch.GetElapsedTime(start) > timeout)
                    throw new ProcessGroupException(
                        $"Rank {rank} found no {path} within {timeout.TotalSeconds:0.###} s: rank 0 writes it where its {Variable} "
                            + $"names the "
                            + "same folder, and this machine must see that folder.", e);
                Thread.Sleep(RetryInterval);
            }
            catch (Exception e) when (e is IOException or UnauthorizedAccessException)
            {
                throw new ProcessGroupException($"Rank {rank} cannot read {path}: {e.Message}", e);
            }
        }
    }

    private sealed record Published(string Path) : IDisposable
    {
        public void Dispose()
        {
            try
            {
                File.Delete(Path);
            }
            catch (IOException)
            {
                // The run works; the next one in this folder says what to do.
            }
        }
    }
}
