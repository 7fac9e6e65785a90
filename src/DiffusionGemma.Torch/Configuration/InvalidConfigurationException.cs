namespace DiffusionGemma;

/// <summary>The exception for a config.json that is missing, invalid or has an option that is not supported.</summary>
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

    /// <summary>The option at fault as a path in the file (`text_config.head_dim`), or null if it is the file as a whole.</summary>
    public string? Option { get; }
}
