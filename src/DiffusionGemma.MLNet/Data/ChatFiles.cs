namespace DiffusionGemma;

internal static class ChatFiles
{
    /// <summary>The files, each of which must be there now: a pipeline that is built on them should not fail hours later.</summary>
    public static string[] Check(IEnumerable<string> paths)
    {
        ArgumentNullException.ThrowIfNull(paths);
        string[] files = [.. paths];
        if (files.Length == 0)
            throw new ArgumentException("No file of chat data is named.", nameof(paths));
        foreach (string file in files)
        {
            ArgumentException.ThrowIfNullOrEmpty(file, nameof(paths));
            if (!File.Exists(file))
                throw new FileNotFoundException($"There is no file of chat data at {Path.GetFullPath(file)}.", file);
        }
        return files;
    }
}
