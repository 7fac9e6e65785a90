namespace DiffusionGemma;

/// <summary>Compares every byte of a checkpoint's weights with digests that came with them.</summary>
internal static class FolderDigests
{
    private const int DigestLength = 64;

    /// <exception cref="CheckpointException">A file has other bytes, or there is nothing to compare it with.</exception>
    public static void Verify(string folder)
    {
        if (Checksums.FindDamage(folder) is { } damage) throw new CheckpointException(folder, $"{damage}.");
        HashSet<string> listed = File.Exists(Path.Combine(folder, Checksums.FileName))
            ? [.. Checksums.Read(Path.Combine(folder, Checksums.FileName)).Keys] : [];
        string[] files;
        using (SafetensorsFile weights = SafetensorsFile.Open(folder)) files = [.. weights.Files.Select(file => file.Path)];
        foreach (string file in files.Where(file => !listed.Contains(Path.GetFileName(file))))
            if (OfHub(file) is not { } digest)
                throw new CheckpointException(
                    file, $"cannot be verified: {Checksums.FileName} beside it does not list it, and it is no file of the Hub's cache. "
                    + $"Load it without verify, or write the digests of files that you trust with 'sha256sum * > {Checksums.FileName}'.");
            else if (Checksums.Digest(file) != digest)
                throw new CheckpointException(file, "has other bytes than the Hub's digest of it. Delete and download it again.");
    }

    /// <summary>Returns the digest of a file of the Hub's cache: a link to a blob that is named by it; null for other files.</summary>
    public static string? OfHub(string file) =>
        new FileInfo(file).LinkTarget is { } target && Path.GetFileName(target) is { Length: DigestLength } name
            && name.All(char.IsAsciiHexDigitLower)
            ? name : null;
}
