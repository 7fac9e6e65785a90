namespace DiffusionGemma;

/// <summary>The Markdown files of the repository that describe it to a reader.</summary>
internal static class Repository
{
    /// <summary>Paths relative to the root, with '/' between their parts.</summary>
    public static IReadOnlyList<string> Documents { get; } =
    [
        "README.md", "CONTRIBUTING.md",
        .. Below("docs", "*.md"),
        .. Below("src", "README.md"),
    ];

    public static string Read(string document) => File.ReadAllText(Absolute(document));

    public static string Absolute(string relative) => Path.Combine(Fixtures.Root, relative);

    private static IEnumerable<string> Below(string folder, string pattern) => Directory
        .EnumerateFiles(Absolute(folder), pattern, SearchOption.AllDirectories)
        .Select(file => Path.GetRelativePath(Fixtures.Root, file).Replace('\\', '/'))
        .Where(file => !file.Contains("/bin/", StringComparison.Ordinal) && !file.Contains("/obj/", StringComparison.Ordinal))
        .Order(StringComparer.Ordinal);
}
