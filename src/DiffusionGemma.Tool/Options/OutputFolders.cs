namespace DiffusionGemma;

/// <summary>Folders that a command writes.</summary>
internal static class OutputFolders
{
    /// <summary>Hidden folders that a writer fills before it moves the files to their places; one that was killed leaves its own.</summary>
    private const string HalfWritten = ".saving-*";

    /// <exception cref="ToolException">The folder holds something, or is a file.</exception>
    public static void RequireFree(string folder)
    {
        if (File.Exists(folder)) throw new ToolException(ExitCode.Usage, $"--output {folder} is a file: name a folder.");
        if (Directory.Exists(folder)
            && Directory.EnumerateFileSystemEntries(folder).Except(Directory.EnumerateDirectories(folder, HalfWritten)).Any())
            throw new ToolException(ExitCode.Usage, $"--output {folder} holds files already: name another folder, or empty it.");
    }

    /// <summary>Writes the folder: that it cannot be written is a fault of the output, and not of the model that is read.</summary>
    public static T Write<T>(string folder, Func<T> write)
    {
        try
        {
            return write();
        }
        catch (Exception error) when (error is CheckpointException { CheckpointPath: var path } && FolderPath.AreSame(path, folder)
            || error is AdapterException && error.InnerException is IOException or UnauthorizedAccessException)
        {
            throw new ToolException(ExitCode.Data, FailureKind.MessageOf(error), error);
        }
    }

    /// <summary>Said where the writing of a folder is ended by a signal. Not removed: another process may be writing there.</summary>
    public static string Stopped(string folder) =>
        Directory.Exists(folder) && Directory.EnumerateDirectories(folder, HalfWritten).Any()
            ? $"{Interruption.Stopped()} What was half written is hidden in {folder}; the next command that writes there removes it."
            : Interruption.Stopped();
}
