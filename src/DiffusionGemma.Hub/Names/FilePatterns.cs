using System.Text;
using System.Text.RegularExpressions;

namespace DiffusionGemma;

/// <summary>
/// Patterns of files in a repository: <c>*</c> and <c>?</c> stand for characters of one name, the name <c>**</c> for any number of folders;
/// names that begin with a dot are matched only by a pattern that does. A pattern without these characters is a file, or a folder with all
/// below it.
/// </summary>
internal sealed class FilePatterns
{
    private readonly string[] _patterns;
    private readonly Regex[] _expressions;

    public FilePatterns(IEnumerable<string>? patterns)
    {
        _patterns = [.. (patterns ?? []).Where(pattern => pattern.Length > 0)];
        _expressions = [.. _patterns.Select(pattern => new Regex(ToRegex(pattern), RegexOptions.NonBacktracking))];
    }

    /// <summary>True if some pattern takes the file; without patterns every file is taken.</summary>
    public bool Take(string file) => _patterns.Length == 0 || _expressions.Any(expression => expression.IsMatch(file));

    public override string ToString() => string.Join(", ", _patterns);

    private static string ToRegex(string pattern)
    {
        if (pattern.AsSpan().IndexOfAny('*', '?') < 0)
            return $@"^{Regex.Escape(pattern)}(?:/.*)?\z";
        var regex = new StringBuilder("^");
        string[] names = pattern.Split('/');
        for (int i = 0; i < names.Length; i++)
        {
            bool last = i == names.Length - 1;
            if (names[i] == "**")
            {
                regex.Append(@"(?:[^./][^/]*/)*").Append(last ? @"[^./][^/]*" : "");
                continue;
            }
            string rest = names[i].TrimStart('*', '?');
            regex.Append(Start(names[i][..^rest.Length], rest));
            foreach (char c in rest)
                regex.Append(c switch { '*' => "[^/]*", '?' => "[^/]", _ => Regex.Escape(c.ToString()) });
            if (!last) regex.Append('/');
        }
        return regex.Append(@"\z").ToString();
    }

    /// <summary>The wildcards that a name's pattern begins with: they do not take a dot at the name's start.</summary>
    private static string Start(string wildcards, string rest)
    {
        if (wildcards.Length == 0) return "";
        int least = wildcards.Count(c => c == '?'), dotless = least == 0 && (rest.Length == 0 || rest[0] == '.') ? 1 : least;
        return (wildcards.Contains('*'), dotless) switch
        {
            (false, _) => $"[^./][^/]{{{dotless - 1}}}",
            (true, 0) => "(?:[^./][^/]*)?",
            (true, _) => $"[^./][^/]{{{dotless - 1},}}",
        };
    }
}
