namespace DiffusionGemma;

/// <summary>Compares folders by their paths.</summary>
internal static class FolderPath
{
    /// <summary>True where two paths lead to one folder; links are followed.</summary>
    public static bool AreSame(string a, string b) =>
        string.Equals(Resolve(a), Resolve(b), OperatingSystem.IsLinux() ? StringComparison.Ordinal : StringComparison.OrdinalIgnoreCase);

    private static string Resolve(string folder)
    {
        var info = new DirectoryInfo(Path.TrimEndingDirectorySeparator(Path.GetFullPath(folder)));
        string? target = info.Exists ? info.ResolveLinkTarget(returnFinalTarget: true)?.FullName : null;
        return Path.TrimEndingDirectorySeparator(target ?? info.FullName);
    }
}
