using System.Text.RegularExpressions;

namespace DiffusionGemma;

/// <summary>Part of a snapshot that is in the cache. No request is made.</summary>
internal static partial class CachedSnapshot
{
    /// <returns>True if no wanted file is missing, as far as a snapshot without a listing can show.</returns>
    public static bool IsWhole(RepositoryCache cache, HubId id, string commit, FilePatterns wanted)
    {
        if (!Directory.Exists(cache.Snapshot(commit))) return false;
        if (cache.ReadTree(commit) is not null) return Missing(cache, commit, wanted).Count == 0;
        List<string> files = Files(cache, commit, wanted);
        if (files.Count == 0 || MissingWithoutTree(cache, commit, files).Count > 0) return false;
        // A model's snapshot of which only the configuration or the tokenizer was ever asked for is a part.
        return id.Kind == HubKind.Dataset || (files.Contains("config.json")
            && files.Exists(file => file.EndsWith(".safetensors", StringComparison.Ordinal)));
    }

    /// <returns>The wanted files that are certainly missing: by the listing, else dangling links and gaps between shards.</returns>
    public static IReadOnlyList<string> Missing(RepositoryCache cache, string commit, FilePatterns wanted) =>
        cache.ReadTree(commit) is { } tree
            ? [.. tree.Files.Where(file => wanted.Take(file.Path) && !cache.HasFile(commit, file.Path, file.Size))
                .Select(file => file.Path)]
            : MissingWithoutTree(cache, commit, Files(cache, commit, wanted));

    /// <returns>The wanted files that the snapshot's folder has, dangling links included, in ordinal order.</returns>
    public static List<string> Files(RepositoryCache cache, string commit, FilePatterns wanted)
    {
        string folder = cache.Snapshot(commit);
        if (!Directory.Exists(folder)) return [];
        var all = new EnumerationOptions { RecurseSubdirectories = true, AttributesToSkip = 0 };
        List<string> files = [.. Directory.EnumerateFiles(folder, "*", all)
            .Select(path => Path.GetRelativePath(folder, path).Replace(Path.DirectorySeparatorChar, '/')).Where(wanted.Take)];
        files.Sort(StringComparer.Ordinal);
        return files;
    }

    private static List<string> MissingWithoutTree(RepositoryCache cache, string commit, List<string> files)
    {
        List<string> missing = [.. files.Where(file => !cache.HasFile(commit, file))];
        foreach (var shards in files.Select(file => ShardPattern().Match(file)).Where(match => match.Success)
            .GroupBy(match => (match.Groups["before"].Value, Count: match.Groups["count"].Value, match.Groups["after"].Value)))
        {
            if (shards.Count() < int.Parse(shards.Key.Count))
                missing.Add($"{shards.Key.Item1}*-of-{shards.Key.Count}{shards.Key.Item3}");
        }
        return missing;
    }

    [GeneratedRegex(@"^(?<before>.*-)\d{5}-of-(?<count>\d{5})(?<after>\.[^/]*)\z")]
    private static partial Regex ShardPattern();
}
