using System.IO.Enumeration;

namespace DiffusionGemma;

/// <summary>
/// Finds files by a shell pattern: <c>*</c> and <c>?</c> match characters of one name, the name <c>**</c> any number of folders, also none.
/// </summary>
/// <remarks>Names that begin with a dot are matched only by a pattern that does, and <c>**</c> does not follow links to folders.</remarks>
internal static class FilePattern
{
    private const string AnyFolders = "**";

    private static readonly char[] Separators = [Path.DirectorySeparatorChar, Path.AltDirectorySeparatorChar];
    private static readonly EnumerationOptions All = new() { AttributesToSkip = 0, IgnoreInaccessible = false };

    public static bool IsPattern(string path) => path.AsSpan().IndexOfAny('*', '?') >= 0;

    /// <returns>The files in the ordinal order of their paths, which is the same on every machine.</returns>
    public static IReadOnlyCollection<string> Find(string pattern)
    {
        int fixedLength = pattern.LastIndexOfAny(Separators, pattern.AsSpan().IndexOfAny('*', '?')) + 1;
        string root = pattern[..fixedLength];
        string[] names = pattern[fixedLength..].Split(Separators, StringSplitOptions.RemoveEmptyEntries);
        if (names[^1] == AnyFolders)
            names = [.. names, "*"];
        var found = new SortedSet<string>(StringComparer.Ordinal);
        if (root.Length == 0 || Directory.Exists(root))
            Collect(root, names, found);
        return found;
    }

    private static void Collect(string folder, ReadOnlySpan<string> names, SortedSet<string> found)
    {
        string name = names[0];
        ReadOnlySpan<string> rest = names[1..];
        var here = new DirectoryInfo(folder.Length == 0 ? "." : folder);
        if (name == AnyFolders)
        {
            Collect(folder, rest, found);
            foreach (DirectoryInfo next in here.EnumerateDirectories("*", All))
                if (!next.Name.StartsWith('.') && !next.Attributes.HasFlag(FileAttributes.ReparsePoint))
                    Collect(Path.Combine(folder, next.Name), names, found);
        }
        else if (rest.IsEmpty)
        {
            foreach (FileInfo file in here.EnumerateFiles("*", All))
                if (Matches(name, file.Name))
                    found.Add(Path.Combine(folder, file.Name));
        }
        else
        {
            foreach (DirectoryInfo next in here.EnumerateDirectories("*", All))
                if (Matches(name, next.Name))
                    Collect(Path.Combine(folder, next.Name), rest, found);
        }
    }

    private static bool Matches(string pattern, string name) =>
        FileSystemName.MatchesSimpleExpression(pattern, name, ignoreCase: false) && (!name.StartsWith('.') || pattern.StartsWith('.'));
}
