namespace DiffusionGemma;

/// <summary>Finds the files that a command line names, and says which is the nearest where one is not there.</summary>
internal static class DataFiles
{
    private static readonly char[] Wildcards = ['*', '?'];

    /// <summary>The files of a path, pattern, folder, or address on the Hub (which stays as it is).</summary>
    /// <exception cref="ToolException">There is none.</exception>
    public static string Resolve(string path)
    {
        if (HubPath.IsHubPath(path) || path.IndexOfAny(Wildcards) >= 0) return path;
        if (Directory.Exists(path))
        {
            bool isParquet = Directory.EnumerateFiles(path, "*.parquet").Any();
            if (!isParquet && !Directory.EnumerateFiles(path, "*.jsonl").Any())
                throw new ToolException(ExitCode.Data, $"{path} holds no .parquet and no .jsonl file: name another folder, or a file.");
            return Path.Combine(path, isParquet ? "*.parquet" : "*.jsonl");
        }
        RequireFile(path, ExitCode.Data);
        return path;
    }

    /// <exception cref="ToolException">The file is not there; the message has the nearest name in its folder.</exception>
    public static void RequireFile(string path, int code)
    {
        if (File.Exists(path)) return;
        if (Directory.Exists(path)) throw new ToolException(code, $"{path} is a folder: name a file.");
        throw new ToolException(code, $"There is no file {path}.{Nearest(path)}");
    }

    /// <summary>" Did you mean 'x'?" with the nearest entry of a path's folder.</summary>
    public static string Nearest(string path)
    {
        string folder = Path.GetDirectoryName(Path.GetFullPath(path)) ?? ".";
        if (!Directory.Exists(folder)) return $" There is no folder {folder} either.";
        IEnumerable<string> names = Directory.EnumerateFileSystemEntries(folder).Select(Path.GetFileName).OfType<string>();
        return NearestName.Hint(Path.GetFileName(path), names);
    }

    public static bool IsParquet(string path) => path.EndsWith(".parquet", StringComparison.OrdinalIgnoreCase);
}
