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
            RequireUnicode(document.RootElement);
        }
        // The others are what half a surrogate pair becomes, in the text itself and as an escape.
        catch (Exception exception) when (exception is JsonException or ArgumentException or InvalidOperationException)
        {
            throw new InvalidDataException($"{path}: not valid JSON: {exception.Message}", exception);
        }
        if (document.RootElement.ValueKind == JsonValueKind.Object)
            return document;
        document.Dispose();
        throw new InvalidDataException($"{path}: it holds no JSON object.");
    }

    /// <summary>Reads every name and text, which are decoded no earlier.</summary>
    private static void RequireUnicode(JsonElement value)
    {
        switch (value.ValueKind)
        {
            case JsonValueKind.Object:
                foreach (JsonProperty entry in value.EnumerateObject())
                {
                    _ = entry.Name;
                    RequireUnicode(entry.Value);
                }
                break;
            case JsonValueKind.Array:
                foreach (JsonElement item in value.EnumerateArray()) RequireUnicode(item);
                break;
            case JsonValueKind.String:
                _ = value.GetString();
                break;
        }
    }
}
