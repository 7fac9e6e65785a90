using System.Text.Json;

namespace DiffusionGemma;

/// <summary>The index file model.safetensors.index.json, which assigns tensors to files of the folder.</summary>
/// <param name="Files">Tensor name to file name, in the file's order.</param>
/// <param name="Metadata">The unchanged `metadata` object, or an undefined element.</param>
internal sealed record SafetensorsIndex(IReadOnlyDictionary<string, string> Files, JsonElement Metadata)
{
    public const string FileName = "model.safetensors.index.json";

    public static SafetensorsIndex Read(string path)
    {
        try
        {
            using JsonDocument document = JsonDocument.Parse(SmallFile.ReadText(path));
            if (document.RootElement.ValueKind != JsonValueKind.Object
                || !document.RootElement.TryGetProperty("weight_map", out JsonElement map)
                || map.ValueKind != JsonValueKind.Object
                || map.EnumerateObject().Any(pair => pair.Value.ValueKind != JsonValueKind.String))
                throw new CheckpointException(path, "has no weight_map of tensor names to file names.");
            var files = new Dictionary<string, string>();
            foreach (JsonProperty pair in map.EnumerateObject())
            {
                string file = pair.Value.GetString()!;
                if (!IsPlainName(file))
                    throw new CheckpointException(path, pair.Name, $"is assigned to \"{file}\"; only files of the same folder are read.");
                files[pair.Name] = file;                                     // of equal names the last counts, as in Python
            }
            if (files.Count == 0) throw new CheckpointException(path, "has an empty weight_map.");
            bool hasMetadata = document.RootElement.TryGetProperty("metadata", out JsonElement metadata);
            return new SafetensorsIndex(files, hasMetadata ? metadata.Clone() : default);
        }
        catch (Exception e) when (e is JsonException or InvalidOperationException or ArgumentException)
        {
            throw new CheckpointException(path, $"is not valid JSON: {e.Message} Fetch or copy it again.", e);
        }
        catch (Exception e) when (e is UnauthorizedAccessException or IOException and not CheckpointException)
        {
            throw new CheckpointException(path, $"cannot be read: {e.Message}", e);
        }
    }

    // Both separators are rejected on every system, so that a checkpoint is read the same way everywhere.
    private static bool IsPlainName(string file) =>
        file.Length > 0 && file is not ("." or "..") && file.AsSpan().IndexOfAny("/\\:\0") < 0;
}
