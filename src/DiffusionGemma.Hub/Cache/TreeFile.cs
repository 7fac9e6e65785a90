using System.Text.Json;

namespace DiffusionGemma;

/// <summary>A file of a commit.</summary>
/// <param name="Path">Its name, with the folders it is in.</param>
/// <param name="Size">Bytes.</param>
/// <param name="BlobId">Git's hash of what is in git: the file, or for a large file the few lines that stand for it.</param>
/// <param name="Sha256">The hash of a large file; null: it is a small one, kept in git.</param>
/// <param name="XetHash">The key of another storage; kept only for other clients.</param>
internal sealed record TreeFile(string Path, long Size, string BlobId, string? Sha256, string? XetHash)
{
    /// <summary>The name of the file's blob in the cache.</summary>
    public string ETag => Sha256 ?? BlobId;

    /// <summary>Reads an entry of the Hub's answer.</summary>
    public static TreeFile FromHub(JsonElement entry)
    {
        JsonElement? large = entry.TryGetProperty("lfs", out JsonElement lfs) && lfs.ValueKind == JsonValueKind.Object ? lfs : null;
        long size = (large ?? entry).GetProperty("size").GetInt64();
        string? sha256 = large is { } file ? Text(file, "oid") : null;
        return new TreeFile(Text(entry, "path"), size, Text(entry, "oid"), sha256, Optional(entry, "xetHash"));
    }

    /// <summary>Reads an entry of the cache's listing.</summary>
    public static TreeFile FromCache(string path, JsonElement entry)
    {
        string? sha256 = Optional(entry, "lfs_sha256");
        long size = entry.GetProperty(sha256 is null ? "size" : "lfs_size").GetInt64();
        return new TreeFile(path, size, Text(entry, "blob_id"), sha256, Optional(entry, "xet_hash"));
    }

    public void WriteToCache(Utf8JsonWriter json)
    {
        json.WriteStartObject(Path);
        json.WriteNumber("size", Size);
        json.WriteString("blob_id", BlobId);
        if (Sha256 is not null)
        {
            json.WriteString("lfs_sha256", Sha256);
            json.WriteNumber("lfs_size", Size);
        }
        if (XetHash is not null) json.WriteString("xet_hash", XetHash);
        json.WriteEndObject();
    }

    private static string Text(JsonElement entry, string name) =>
        entry.GetProperty(name).GetString() ?? throw new JsonException($"'{name}' is null.");

    private static string? Optional(JsonElement entry, string name) =>
        entry.TryGetProperty(name, out JsonElement value) ? value.GetString() : null;
}
