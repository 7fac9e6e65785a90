using System.Text.RegularExpressions;

namespace DiffusionGemma;

/// <summary>The test methods of the repository, by the names that documents and lists give them: Class.Method.</summary>
internal sealed partial class NamedTests
{
    private readonly HashSet<string> _names = new(StringComparer.Ordinal);

    private NamedTests()
    {
        foreach (string file in Directory.EnumerateFiles(Path.Combine(Fixtures.Root, "tests"), "*Tests.cs", SearchOption.AllDirectories))
        {
            string type = Path.GetFileNameWithoutExtension(file);
            _names.Add(type);
            bool isMarked = false;
            foreach (string line in File.ReadLines(file).Select(line => line.Trim()))
            {
                isMarked |= line.StartsWith("[Fact", StringComparison.Ordinal) || line.StartsWith("[Theory", StringComparison.Ordinal);
                if (!isMarked || !Method().IsMatch(line)) continue;
                _names.Add($"{type}.{Method().Match(line).Groups["name"].Value}");
                isMarked = false;
            }
        }
    }

    /// <summary>Reads the sources of the tests.</summary>
    public static NamedTests Read() => new();

    /// <summary>True for a class of tests, or a method of one with its class before it.</summary>
    public bool Contains(string name) => _names.Contains(name);

    [GeneratedRegex(@"^public (async )?(void|Task) (?<name>\w+)\(")]
    private static partial Regex Method();
}
