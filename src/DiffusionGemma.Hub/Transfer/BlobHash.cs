using System.Security.Cryptography;
using System.Text;

namespace DiffusionGemma;

/// <summary>The hash that a blob's name promises: sha256 of a large file's bytes, git's sha1 of a small file.</summary>
internal sealed class BlobHash : IDisposable
{
    private readonly IncrementalHash? _hash;
    private readonly string _expected;

    private BlobHash(string expected, HashAlgorithmName? algorithm)
    {
        _expected = expected;
        _hash = algorithm is { } name ? IncrementalHash.CreateHash(name) : null;
    }

    /// <param name="etag">The blob's name. One that is neither hash promises nothing, and only the size is checked.</param>
    /// <param name="size">Bytes, which git's hash begins with.</param>
    public static BlobHash Start(string etag, long size)
    {
        bool hexadecimal = etag.All(char.IsAsciiHexDigit);
        var hash = new BlobHash(etag, (hexadecimal, etag.Length) switch
        {
            (true, 64) => HashAlgorithmName.SHA256,
            (true, 40) => HashAlgorithmName.SHA1,
            _ => null,
        });
        if (etag.Length == 40) hash.Append(Encoding.ASCII.GetBytes($"blob {size}\0"));
        return hash;
    }

    public void Append(ReadOnlySpan<byte> bytes) => _hash?.AppendData(bytes);

    /// <returns>The hash that was found where it is another than promised; else null.</returns>
    public string? Mismatch()
    {
        if (_hash is null) return null;
        string found = Convert.ToHexStringLower(_hash.GetHashAndReset());
        return string.Equals(found, _expected, StringComparison.OrdinalIgnoreCase) ? null : found;
    }

    public void Dispose() => _hash?.Dispose();
}
