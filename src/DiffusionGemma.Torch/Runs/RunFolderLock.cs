namespace DiffusionGemma;

/// <summary>
/// Keeps a second run, in this process or another, out of a run's folder. The operating system releases it when the process ends, however
/// it ends.
/// </summary>
internal sealed class RunFolderLock : IDisposable
{
    private readonly FileStream _file;

    /// <exception cref="TrainingException">Another run holds the folder, or it cannot be written to.</exception>
    public RunFolderLock(string folder)
    {
        string path = Path.Combine(folder, ".lock");
        try
        {
            Directory.CreateDirectory(folder);
            // The file stays when the run ends: deleting it could take it from a run that has just opened it.
            _file = new FileStream(path, FileMode.OpenOrCreate, FileAccess.ReadWrite, FileShare.None);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new TrainingException(
                IsHeld(e)
                    ? $"{folder} is in use by another run that is going on ({e.Message}). Wait for it or stop it, or name another folder "
                        + "in FineTuneOptions.Checkpoints."
                    : $"{folder} cannot hold the run's checkpoints ({e.Message}). Name a folder that can be written to in "
                        + "FineTuneOptions.Checkpoints.", e)
            {
                Path = folder,
            };
        }
    }

    public void Dispose() => _file.Dispose();

    /// <summary>True for Windows' sharing violation, and for Linux' and macOS' EWOULDBLOCK; a read-only disk is none of them.</summary>
    private static bool IsHeld(Exception error) => error is IOException && (error.HResult & 0xFFFF) is 32 or 11 or 35;
}
