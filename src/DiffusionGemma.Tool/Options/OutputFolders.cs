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

    /// <summary>Removes what a command has half written into a folder that was free when it began.</summary>
    public static void Abandon(string folder)
    {
        if (!Directory.Exists(folder)) return;
        foreach (string hidden in Directory.EnumerateDirectories(folder, HalfWritten)) Directory.Delete(hidden, recursive: true);
        if (!Directory.EnumerateFileSystemEntries(folder).Any()) Directory.Delete(folder);
    }
}
