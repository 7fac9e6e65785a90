namespace DiffusionGemma;

/// <summary>Resolves paths and patterns to files.</summary>
internal static class ChatFiles
{
    /// <summary>Lists the files and checks that each exists, so that a pipeline does not fail hours later.</summary>
    /// <exception cref="IOException">It is a pipe or a device: rows are read more than once.</exception>
    /// <exception cref="FileNotFoundException">A file is not there, or a pattern matches none.</exception>
    public static string[] Find(IEnumerable<string> paths)
    {
        ArgumentNullException.ThrowIfNull(paths);
        string[] files = [.. paths.SelectMany(FindOne).Select(RegularFile.Require)];
        if (files.Length == 0)
            throw new ArgumentException("No file of chat data is named.", nameof(paths));
        return files;
    }

    private static IEnumerable<string> FindOne(string path)
    {
        ArgumentException.ThrowIfNullOrEmpty(path);
        // First of all a name: files may have the pattern's characters in theirs.
        if (File.Exists(path))
            return [path];
        if (Directory.Exists(path))
            throw new ArgumentException(
                $"{Path.GetFullPath(path)} is a folder: name its files, for example {Path.Combine(path, "*.jsonl")}.", nameof(path));
        if (!FilePattern.IsPattern(path))
            throw new FileNotFoundException($"There is no file of chat data at {Path.GetFullPath(path)}.", path);
        IReadOnlyCollection<string> found = FilePattern.Find(path);
        return found.Count > 0 ? found : throw new FileNotFoundException($"No file of chat data matches {Path.GetFullPath(path)}.", path);
    }
}
