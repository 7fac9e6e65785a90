namespace DiffusionGemma;

/// <summary>Names weights in GGUF, which are not read, in errors about a path that holds nothing else.</summary>
internal static class GgufFiles
{
    private const string Extension = ".gguf";

    /// <summary>Returns the words that follow the path in an error; null: it neither is nor holds such a file.</summary>
    public static string? Describe(string path)
    {
        IEnumerable<string> files = path.EndsWith(Extension, StringComparison.OrdinalIgnoreCase) ? [path]
            : Directory.Exists(path) ? Directory.EnumerateFiles(path, "*" + Extension) : [];
        string? found = files.Order(StringComparer.Ordinal).FirstOrDefault();
        return found is null ? null
            : $"is no checkpoint that can be read: {Path.GetFileName(found)} is GGUF, which is not supported. Name a folder in safetensors "
                + $"files; quantised forms that are read: {QuantizationSettings.Supported}.";
    }
}
