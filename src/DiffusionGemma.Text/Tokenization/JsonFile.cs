using System.Text.Json;

namespace DiffusionGemma;

/// <summary>Small JSON files of a checkpoint folder.</summary>
internal static class JsonFile
{
    /// <exception cref="IOException">The file cannot be read, or is a pipe or a device.</exception>
    /// <exception cref="InvalidDataException">The file doesn't hold one JSON object; the message names it.</exception>
    public static JsonDocument ReadObject(string path)
    {
        JsonDocument document;
        try
        {
            document = JsonDocument.Parse(File.ReadAllText(RegularFile.Require(path)));
        }
        catch (JsonException exception)
        {
            throw new InvalidDataException($"{path}: not valid JSON: {exception.Message}", exception);
        }
        if (document.RootElement.ValueKind == JsonValueKind.Object)
            return document;
        document.Dispose();
        throw new InvalidDataException($"{path}: it holds no JSON object.");
    }
}
