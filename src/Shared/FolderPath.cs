namespace DiffusionGemma;

/// <summary>Compares folders by their paths.</summary>
internal static class FolderPath
{
    /// <summary>True where two paths lead to one folder; links are followed, those of the folders above too.</summary>
    public static bool AreSame(string a, string b) =>
        string.Equals(Resolve(a), Resolve(b), OperatingSystem.IsLinux() ? StringComparison.Ordinal : StringComparison.OrdinalIgnoreCase);

    /// <summary>Returns the path without links: folder by folder from the root, as a link may lead to a path with links.</summary>
    private static string Resolve(string folder)
    {
        string full = Path.TrimEndingDirectorySeparator(Path.GetFullPath(folder));
        if (Path.GetDirectoryName(full) is not { } parent) return full;
        var here = new DirectoryInfo(Path.Combine(Resolve(parent), Path.GetFileName(full)));
        // A circle of links leads nowhere: no folder is there.
        return here.Exists && here.ResolveLinkTarget(returnFinalTarget: false) is { } target ? Resolve(target.FullName) : here.FullName;
    }
}
