namespace DiffusionGemma;

/// <summary>Folders that a command writes.</summary>
internal static class OutputFolders
{
    /// <exception cref="ToolException">The folder holds something, or is a file.</exception>
    public static void RequireFree(string folder)
    {
        if (File.Exists(folder)) throw new ToolException(ExitCode.Usage, $"--output {folder} is a file: name a folder.");
        if (Directory.Exists(folder) && Directory.EnumerateFileSystemEntries(folder).Any())
            throw new ToolException(ExitCode.Usage, $"--output {folder} holds files already: name another folder, or empty it.");
    }
}
