namespace DiffusionGemma;

/// <summary>The Hub's answer to a HEAD request for a file.</summary>
/// <param name="Commit">The commit that the revision is at.</param>
/// <param name="ETag">The name of the file's blob: sha256 of a large file, git's hash of a small one.</param>
/// <param name="Size">Bytes; null: the server did not say.</param>
/// <param name="Location">Where the file is read: on the Hub itself, or for a large file on another host, by a link that expires.</param>
internal sealed record FileHead(string Commit, string ETag, long? Size, Uri Location);
