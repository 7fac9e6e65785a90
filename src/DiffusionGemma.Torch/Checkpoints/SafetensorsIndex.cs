using System.Text.Json;

namespace DiffusionGemma;

/// <summary>model.safetensors.index.json: which file of the folder holds which tensor.</summary>
/// <param name="Files">Tensor name to file name, in the file's order.</param>
/// <param name="Metadata">The `metadata` object as it stands, or an undefined element.</param>
internal sealed record SafetensorsIndex(IReadOnlyDictionary<string, string> Files, JsonElement Metadata)
{
    public const string FileName = "model.safetensors.index.json";

    public static SafetensorsIndex Read(string path)
    {
        try
        {
            using JsonDocument document = JsonDocument.Parse(File.ReadAllText(path), new JsonDocumentOptions { AllowDuplicateProperties = false });
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
                    throw new CheckpointException(path, pair.Name, $"is said to be in \"{file}\"; only files of the same folder are read.");
                files.Add(pair.Name, file);
            }
            if (files.Count == 0) throw new CheckpointException(path, "has an empty weight_map.");
            bool said = document.RootElement.TryGetProperty("metadata", out JsonElement metadata);
            return new SafetensorsIndex(files, said ? metadata.Clone() : default);
        }
        catch (Exception e) when (e is JsonException or InvalidOperationException)
        {
            throw new CheckpointException(path, $"is not valid JSON: {e.Message} Fetch or copy it again.", e);
        }
        catch (Exception e) when (e is UnauthorizedAccessException or IOException and not CheckpointException)
        {
            throw new CheckpointException(path, $"cannot be read: {e.Message}", e);
        }
    }

    // Both separators are refused on every system: a checkpoint means the same everywhere.
    private static bool IsPlainName(string file) =>
        file.Length > 0 && file is not ("." or "..") && file.AsSpan().IndexOfAny("/\\:\0") < 0;
}
