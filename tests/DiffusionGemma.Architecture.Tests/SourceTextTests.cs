using System.Text.RegularExpressions;

namespace DiffusionGemma;

/// <summary>
/// Rules of the source text that no analyser of the SDK checks: the length of lines (.editorconfig), the order of usings, the first word
/// of a summary.
/// </summary>
public partial class SourceTextTests
{
    private const int MaxLength = 140;

    [Fact]
    public void No_line_is_too_long()
    {
        string[] files = [.. SourceFiles()];
        Assert.True(files.Length > 300, $"{files.Length} files");
        Violations.RequireNone(
            "length", from file in files
                      from line in File.ReadLines(Path.Combine(Fixtures.Root, file)).Select((text, n) => (Text: text, Number: n + 1))
                      where line.Text.Length > MaxLength
                      select (FolderOf(file), $"{file}:{line.Number}: {line.Text.Length} characters"));
    }

    /// <summary>Text and code of the pages keep to the width of the source; tables and pictures aside.</summary>
    [Fact]
    public void No_line_of_a_page_is_too_long()
    {
        string[] pages =
        [
            "CHANGELOG.md", "CONTRIBUTING.md",
            .. Directory.EnumerateFiles(Path.Combine(Fixtures.Root, "docs"), "*.md")
                .Concat(Directory.EnumerateFiles(Path.Combine(Fixtures.Root, "src"), "README.md", SearchOption.AllDirectories))
                .Select(file => Path.GetRelativePath(Fixtures.Root, file).Replace('\\', '/')).Order(StringComparer.Ordinal),
        ];
        Assert.True(pages.Length > 25, $"{pages.Length} pages");
        Violations.RequireNone(
            "length", from page in pages
                      from line in File.ReadLines(Path.Combine(Fixtures.Root, page)).Select((text, n) => (Text: text, Number: n + 1))
                      where line.Text.Length > MaxLength && line.Text.TrimStart() is not (['|', ..] or ['!', ..])
                      select (page, $"{page}:{line.Number}: {line.Text.Length} characters"));
    }

    /// <summary>A summary begins with a verb or a noun phrase: a question word leaves its reader to guess the noun.</summary>
    [Fact]
    public void No_summary_begins_with_a_question_word() =>
        Violations.RequireNone(
            "summaries", from file in SourceFiles()
                         from Match match in QuestionSummary().Matches(File.ReadAllText(Path.Combine(Fixtures.Root, file)))
                         select (FolderOf(file), $"{file}: {match.Value.Trim()}"));

    /// <summary>IntelliSense shows the summary of an option and never its initial value, so the summary says it.</summary>
    [Fact]
    public void Every_option_tells_its_default()
    {
        Match[] options =
        [
            .. from file in SourceFiles()
               where file.StartsWith("src/", StringComparison.Ordinal)
               let text = File.ReadAllText(Path.Combine(Fixtures.Root, file))
               where OptionsType().IsMatch(text)
               from Match match in Option().Matches(text)
               select match,
        ];
        Assert.True(options.Length > 80, $"{options.Length} options");
        Assert.Empty(
            options.Where(option => !option.Groups["doc"].Value.Contains("Default:", StringComparison.Ordinal))
                .Select(option => option.Groups["name"].Value));
    }

    /// <summary>Namespaces first, those of System before others, then static usings, then aliases; each by name.</summary>
    [Fact]
    public void Usings_are_sorted()
    {
        foreach (string file in SourceFiles())
        {
            string[] usings =
            [
                .. File.ReadLines(Path.Combine(Fixtures.Root, file))
                    .TakeWhile(line => !line.StartsWith("namespace ", StringComparison.Ordinal))
                    .Where(line => Using().IsMatch(line)),
            ];
            string[] sorted = [.. usings.OrderBy(SortKey, StringComparer.OrdinalIgnoreCase)];
            Assert.True(usings.SequenceEqual(sorted), $"{file}: the order of usings is {string.Join(" ", sorted)}");
        }
    }

    private static string SortKey(string line)
    {
        Match match = Using().Match(line);
        string name = match.Groups["name"].Value.Replace('.', '\0');
        if (match.Groups["alias"].Success) return "3" + match.Groups["alias"].Value;
        if (match.Groups["static"].Success) return "2" + name;
        return (name.Split('\0')[0] == "System" ? "0" : "1") + name;
    }

    [GeneratedRegex(@"^using (?<static>static )?((?<alias>\w+) = )?(?<name>[^=(]+);$")]
    private static partial Regex Using();

    [GeneratedRegex(@"<summary>\s*(///\s*)?(What|Whether|How|Where|When|Which|Of)\b.*")]
    private static partial Regex QuestionSummary();

    [GeneratedRegex(@"public (sealed )?(partial )?(record|class) \w*Options\b")]
    private static partial Regex OptionsType();

    /// <summary>A public property with an initial value, and its comment; empty lists and groups of options are left out.</summary>
    [GeneratedRegex(
        @"(?<doc>(^ *///.*\n)+)( *\[.*\]\n)* *public (?!static)[\w?<>]+ (?<name>\w+) \{ get; (init|set); \} = (?!\[\];|new\(\);).*$",
        RegexOptions.Multiline)]
    private static partial Regex Option();

    private static IEnumerable<string> SourceFiles() => new[] { "src", "tests", "samples" }.SelectMany(top =>
        Directory.EnumerateFiles(Path.Combine(Fixtures.Root, top), "*.cs", SearchOption.AllDirectories)
            .Select(file => Path.GetRelativePath(Fixtures.Root, file).Replace('\\', '/'))
            .Where(file => !file.Split('/').Any(part => part is "obj" or "bin"))
            .Order(StringComparer.Ordinal));

    /// <summary>The folder by which a failure groups lines, such as src/DiffusionGemma.Torch/Runs or tests/DiffusionGemma.Ranks.</summary>
    private static string FolderOf(string file) => string.Join('/', file.Split('/')[..^1].Take(3));
}
