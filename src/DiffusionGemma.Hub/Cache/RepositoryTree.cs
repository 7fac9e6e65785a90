using System.Text.Json;

namespace DiffusionGemma;

/// <summary>All files of a commit, as the Hub lists them.</summary>
internal sealed record RepositoryTree(IReadOnlyList<TreeFile> Files)
{
    private const int FormatVersion = 1;

    /// <summary>Reads the listing that this library and newer Python clients leave in the cache.</summary>
    /// <returns>Null if there is none, or one of another format or broken: it is asked for again then.</returns>
    public static RepositoryTree? Read(string path)
    {
        try
        {
            using JsonDocument json = JsonDocument.Parse(File.ReadAllBytes(path));
            if (json.RootElement.GetProperty("format_version").GetInt32() != FormatVersion)
                return null;
            return new([.. json.RootElement.GetProperty("files").EnumerateObject()
                .Select(file => TreeFile.FromCache(file.Name, file.Value))]);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or JsonException or KeyNotFoundException
            or InvalidOperationException or FormatException)
        {
            return null;
        }
    }

    public void Write(Stream stream)
    {
        using var json = new Utf8JsonWriter(stream, new JsonWriterOptions { Indented = true, IndentSize = 1, NewLine = "\n" });
        json.WriteStartObject();
        json.WriteNumber("format_version", FormatVersion);
        json.WriteStartObject("files");
        foreach (TreeFile file in Files.OrderBy(file => file.Path, StringComparer.Ordinal))
            file.WriteToCache(json);
        json.WriteEndObject();
        json.WriteEndObject();
    }
}
