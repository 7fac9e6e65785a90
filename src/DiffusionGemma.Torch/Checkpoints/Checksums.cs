using System.Security.Cryptography;
using System.Text.RegularExpressions;

namespace DiffusionGemma;

/// <summary>
/// The SHA-256 digests of the files that are written into a folder together, kept beside them in the file SHA256SUMS. `sha256sum --check
/// SHA256SUMS` reads that file, and `sha256sum` writes one.
/// </summary>
internal sealed partial class Checksums
{
    public const string FileName = "SHA256SUMS";

    private readonly SortedDictionary<string, string> _digests = new(StringComparer.Ordinal);

    /// <summary>Adds a file whose digest was computed while it was written.</summary>
    public void Add(string name, string digest) => _digests[name] = digest;

    /// <summary>Adds a file, whose bytes are read.</summary>
    /// <exception cref="IOException">It cannot be read.</exception>
    public void AddFile(string path) => Add(Path.GetFileName(path), Digest(path));

    /// <summary>Writes SHA256SUMS into a folder.</summary>
    /// <exception cref="IOException">It cannot be written.</exception>
    public void Save(string folder) =>
        File.WriteAllText(Path.Combine(folder, FileName), string.Concat(_digests.Select(file => $"{file.Value}  {file.Key}\n")));

    /// <summary>Adds the files of a folder that were not added yet, and writes SHA256SUMS into it.</summary>
    /// <exception cref="IOException">A file cannot be read or written.</exception>
    public void Complete(string folder)
    {
        foreach (string path in Directory.EnumerateFiles(folder))
            if (!_digests.ContainsKey(Path.GetFileName(path))) AddFile(path);
        Save(folder);
    }

    /// <summary>Compares the files of a folder with its SHA256SUMS.</summary>
    /// <returns>What is wrong, as the end of a sentence that begins with the folder; null where all agree, or there is no
    /// SHA256SUMS.</returns>
    public static string? FindDamage(string folder)
    {
        string sums = Path.Combine(folder, FileName);
        if (!File.Exists(sums)) return null;
        try
        {
            foreach ((string name, string digest) in Read(sums))
            {
                string path = Path.Combine(folder, name);
                if (!File.Exists(path)) return $"lacks {name}, which {FileName} lists";
                if (Digest(path) != digest)
                    return $"holds {name} with other bytes than it was written with, by {FileName}. Fetch or copy it again, or "
                        + $"delete {FileName} if you changed {name} yourself";
            }
            return null;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or FormatException)
        {
            return $"has files that cannot be compared with {FileName} ({e.Message.TrimEnd('.')})";
        }
    }

    /// <summary>Reads SHA256SUMS: names of files of its own folder, with their digests.</summary>
    /// <exception cref="FormatException">A line has another form.</exception>
    /// <exception cref="IOException">It cannot be read.</exception>
    public static IReadOnlyDictionary<string, string> Read(string path)
    {
        var digests = new Dictionary<string, string>();
        foreach (string line in File.ReadLines(RegularFile.Require(path)).Where(line => line.Length > 0))
        {
            Match match = Line().Match(line);
            if (!match.Success) throw new FormatException($"{path} has a line that is no digest and name of a file beside it");
            string name = match.Groups["name"].Value;
            // A shell that writes the file lists it too, empty as it was then.
            if (name != FileName) digests[name] = match.Groups["digest"].Value.ToLowerInvariant();
        }
        return digests;
    }

    /// <summary>Computes the digest of a file's bytes, in lower-case hexadecimal.</summary>
    public static string Digest(string path)
    {
        using var stream = new FileStream(
            RegularFile.Require(path), FileMode.Open, FileAccess.Read, FileShare.Read | FileShare.Delete, bufferSize: 0);
        return Convert.ToHexStringLower(SHA256.HashData(stream));
    }

    [GeneratedRegex(@"^(?<digest>[0-9a-fA-F]{64}) [ *](?:\./)?(?<name>[^/\\\0]+)\z")]
    private static partial Regex Line();
}
