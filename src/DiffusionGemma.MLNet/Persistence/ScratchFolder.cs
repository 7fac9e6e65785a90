namespace DiffusionGemma;

/// <summary>A folder of the system's temporary files, removed with all that is in it.</summary>
internal sealed class ScratchFolder : IDisposable
{
    /// <exception cref="IOException">It cannot be made.</exception>
    public ScratchFolder()
    {
        try
        {
            Path = Directory.CreateTempSubdirectory("diffusiongemma-").FullName;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new IOException(
                $"A temporary folder cannot be made in {System.IO.Path.GetTempPath()} ({e.Message.TrimEnd('.')}): make that folder, or "
                + "name another in the variable TMPDIR (on Windows TEMP).", e);
        }
    }

    public string Path { get; }

    public void Dispose() => Directory.Delete(Path, recursive: true);
}
