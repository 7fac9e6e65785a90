namespace DiffusionGemma;

/// <summary>A cache's folders, files and links as the fixture lists them.</summary>
internal static class CacheListing
{
    /// <summary>Lines such as <c>hub/models--org--tiny/refs/main [40 bytes] = '0123…'</c> and <c>… -> ../../blobs/ETAG</c>.</summary>
    public static string[] Of(string cacheFolder)
    {
        string above = Path.GetDirectoryName(cacheFolder)!;
        var all = new EnumerationOptions { RecurseSubdirectories = true, AttributesToSkip = 0 };
        return [.. new DirectoryInfo(cacheFolder).EnumerateFileSystemInfos("*", all).Select(entry => Line(entry, above))
            .Order(StringComparer.Ordinal)];
    }

    /// <summary>The lines of refs, blobs and snapshots, which two clients must have alike.</summary>
    public static string[] Shared(IEnumerable<string> lines) => [.. lines.Where(line => !line.EndsWith('/') && !line.Contains(".incomplete")
        && (line.Contains("/refs/") || line.Contains("/blobs/") || line.Contains("/snapshots/") || line.Contains("/.no_exist/")))
        .Order(StringComparer.Ordinal)];

    private static string Line(FileSystemInfo entry, string above)
    {
        string path = Path.GetRelativePath(above, entry.FullName).Replace(Path.DirectorySeparatorChar, '/');
        if (entry.LinkTarget is { } target) return $"{path} -> {target}";
        if (entry is not FileInfo file) return path + "/";
        return $"{path} [{file.Length} bytes]" + (file.Length <= 40 ? $" = '{File.ReadAllText(file.FullName)}'" : "");
    }
}
