namespace DiffusionGemma;

/// <summary>A config.json that is missing, is not what it should be, or asks for something this library does not do.</summary>
public sealed class InvalidConfigurationException : IOException
{
    internal InvalidConfigurationException(string source, string? option, string problem, Exception? inner = null)
        : base(option is null ? $"{source}: {problem}" : $"{source}: {option} {problem}", inner)
    {
        ConfigurationFile = source;
        Option = option;
    }

    /// <summary>The file at fault.</summary>
    public string ConfigurationFile { get; }

    /// <summary>The option at fault as a path in the file (`text_config.head_dim`), or null where the file as a whole is.</summary>
    public string? Option { get; }
}
