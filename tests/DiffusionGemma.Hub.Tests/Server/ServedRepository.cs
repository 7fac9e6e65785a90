using System.Security.Cryptography;
using System.Text;

namespace DiffusionGemma;

/// <summary>A repository that the server has.</summary>
internal sealed class ServedRepository
{
    public const string FirstCommit = "0123456789abcdef0123456789abcdef01234567";

    public string Id { get; set; } = "org/tiny";

    public string Commit { get; set; } = FirstCommit;

    public List<string> Revisions { get; } = ["main"];

    public Dictionary<string, byte[]> Files { get; } = [];

    /// <summary>Files on the second host.</summary>
    public HashSet<string> Large { get; } = [];

    /// <summary>Entity tags other than the files' hashes.</summary>
    public Dictionary<string, string> Tags { get; } = [];

    /// <summary>Sizes said other than the files'.</summary>
    public Dictionary<string, long> Sizes { get; } = [];

    /// <summary>Entries a page of the listing.</summary>
    public int PageSize { get; set; } = int.MaxValue;

    public long Size(string file) => Sizes.TryGetValue(file, out long size) ? size : Files[file].Length;

    public string Tag(string file) =>
        Tags.TryGetValue(file, out string? tag) ? tag : Large.Contains(file) ? Sha256(Files[file]) : GitHash(Files[file]);

    public void Add(string file, string text) => Files.Add(file, Encoding.UTF8.GetBytes(text));

    /// <summary>A large file of drawn bytes.</summary>
    public byte[] AddLarge(string file, int size, int seed = 1)
    {
        byte[] bytes = new byte[size];
        new Random(seed).NextBytes(bytes);
        Files.Add(file, bytes);
        Large.Add(file);
        return bytes;
    }

    public static string Sha256(byte[] bytes) => Convert.ToHexStringLower(SHA256.HashData(bytes));

    public static string GitHash(byte[] bytes) =>
        Convert.ToHexStringLower(SHA1.HashData([.. Encoding.ASCII.GetBytes($"blob {bytes.Length}\0"), .. bytes]));
}
