using System.Reflection;
using System.Text.RegularExpressions;

namespace DiffusionGemma.Documents;

/// <summary>Statements of the documents besides code: links lead somewhere, members and folders exist.</summary>
public sealed partial class DocumentTests
{
    private static readonly Assembly[] Library =
    [
        typeof(ChatTokenizer).Assembly, typeof(DiffusionGemmaModel).Assembly, typeof(DiffusionGemmaCatalog).Assembly,
        typeof(DiffusionGemmaChatClient).Assembly, typeof(HubRepository).Assembly, typeof(RunReport).Assembly,
    ];

    public static TheoryData<string> Documents => [.. Repository.Documents];

    [Theory]
    [MemberData(nameof(Documents))]
    public void LinksLeadToFilesAndHeadings(string document)
    {
        string folder = Path.GetDirectoryName(Repository.Absolute(document))!;
        foreach (Match link in Link().Matches(Repository.Read(document)))
        {
            string target = link.Groups["path"].Value, heading = link.Groups["heading"].Value;
            if (target.Contains("://", StringComparison.Ordinal)) continue;
            string path = target.Length == 0 ? Repository.Absolute(document) : Path.Combine(folder, target);
            Assert.True(File.Exists(path) || Directory.Exists(path), $"{document}: {link.Value} leads nowhere.");
            if (heading.Length > 0) Assert.Contains(heading, Anchors(File.ReadAllText(path)));
        }
    }

    /// <summary>A member that a document names as Type.Member of a public type exists.</summary>
    [Theory]
    [MemberData(nameof(Documents))]
    public void NamedMembersExist(string document)
    {
        ILookup<string, Type> types = Library.SelectMany(assembly => assembly.GetExportedTypes()).ToLookup(type => type.Name);
        foreach (Match name in DottedName().Matches(Repository.Read(document)))
        {
            string type = name.Groups["type"].Value, member = name.Groups["member"].Value;
            if (!types.Contains(type)) continue;
            Assert.True(types[type].Any(t => t.GetMember(member).Length > 0), $"{document}: {type} has no member {member}.");
        }
    }

    /// <summary>Commands name projects and files of this repository.</summary>
    [Theory]
    [MemberData(nameof(Documents))]
    public void NamedPathsExist(string document)
    {
        foreach (Match path in RepositoryPath().Matches(Repository.Read(document)))
            Assert.True(Path.Exists(Repository.Absolute(path.Value)), $"{document}: there is no {path.Value}.");
    }

    [Fact]
    public void ReadmeFitsOnTwoScreens() => Assert.InRange(File.ReadAllLines(Repository.Absolute("README.md")).Length, 1, 120);

    /// <summary>GitHub's anchors of all headings: lower case, spaces as hyphens, no punctuation.</summary>
    private static IEnumerable<string> Anchors(string text) => Heading().Matches(text)
        .Select(match => NoAnchor().Replace(match.Groups[1].Value.Trim().ToLowerInvariant(), "").Replace(' ', '-'));

    [GeneratedRegex(@"\]\((?<path>[^)#\s]*)(#(?<heading>[^)\s]+))?\)")]
    private static partial Regex Link();

    [GeneratedRegex(@"^#+ (.+)$", RegexOptions.Multiline)]
    private static partial Regex Heading();

    [GeneratedRegex(@"[^\p{L}\p{N} _-]")]
    private static partial Regex NoAnchor();

    [GeneratedRegex(@"(?<![\w./])(?<type>[A-Z]\w+)\.(?<member>[A-Z]\w+)(?![\w/])")]
    private static partial Regex DottedName();

    [GeneratedRegex(@"(?<![\w./-])(samples|tests|src|datasets|build)/[\w.-]*\w(/[\w.-]*\w)*(?![\w*<])")]
    private static partial Regex RepositoryPath();
}
