namespace DiffusionGemma;

/// <summary>The length of source lines, which no analyser of the SDK checks (.editorconfig: max_line_length).</summary>
public class LineLengthTests
{
    private const int Longest = 140;

    [Fact]
    public void NoLineIsTooLong()
    {
        string[] files = [.. new[] { "src", "tests", "samples" }.SelectMany(Sources)];
        Assert.True(files.Length > 300, $"{files.Length} files");
        KnownViolations.Check(
            "length", from file in files
                      from line in File.ReadLines(Path.Combine(Fixtures.Root, file)).Select((text, n) => (Text: text, Number: n + 1))
                      where line.Text.Length > Longest
                      select (Part(file), $"{file}:{line.Number}: {line.Text.Length} characters"));
    }

    private static IEnumerable<string> Sources(string top) =>
        Directory.EnumerateFiles(Path.Combine(Fixtures.Root, top), "*.cs", SearchOption.AllDirectories)
            .Select(file => Path.GetRelativePath(Fixtures.Root, file).Replace('\\', '/'))
            .Where(file => !file.Split('/').Any(part => part is "obj" or "bin"))
            .Order(StringComparer.Ordinal);

    /// <summary>
    /// The folder that a line of known-violations.txt excuses: src/DiffusionGemma.Torch/Runs, tests/DiffusionGemma.Ranks.
    /// </summary>
    private static string Part(string file) => string.Join('/', file.Split('/')[..^1].Take(3));
}
