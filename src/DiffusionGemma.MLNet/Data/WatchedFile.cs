namespace DiffusionGemma;

/// <summary>Finds that another program has changed a file since it was opened: its rows would be some of each version.</summary>
/// <remarks>A file that is deleted, or replaced by renaming another, is read as it was.</remarks>
internal sealed class WatchedFile
{
    private readonly FileStream _stream;
    private readonly (long, DateTime) _opened;

    /// <param name="stream">The file, just opened; the caller disposes it.</param>
    public WatchedFile(FileStream stream) => (_stream, _opened) = (stream, State(stream));

    /// <exception cref="ChatDataException">The file's length or time of change is another.</exception>
    public void RequireUnchanged()
    {
        if (State(_stream) != _opened)
            throw new ChatDataException("another program changed the file while it was read: read it again, when it is whole",
                new ChatPosition(_stream.Name));
    }

    private static (long, DateTime) State(FileStream stream) =>
        (RandomAccess.GetLength(stream.SafeFileHandle), File.GetLastWriteTimeUtc(stream.SafeFileHandle));
}
