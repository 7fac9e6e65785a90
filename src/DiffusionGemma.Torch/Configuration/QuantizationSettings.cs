using System.Text.RegularExpressions;

namespace DiffusionGemma;

/// <summary>The `quantization_config` of a quantised checkpoint.</summary>
internal sealed record QuantizationSettings
{
    /// <summary>The forms that are read, as errors list them.</summary>
    public const string Supported =
        "compressed-tensors' int-quantized (8 bits a row), float-quantized (FP8 a row), pack-quantized (4 or 8 bits, in groups or rows), "
        + "nvfp4-pack-quantized and mxfp4-pack-quantized, and ModelOpt's NVFP4";

    /// <summary>The time that an expression of the file has for one name.</summary>
    private static readonly TimeSpan MatchTimeout = TimeSpan.FromSeconds(1);

    /// <summary>`compressed-tensors` or `modelopt`.</summary>
    public required string Method { get; init; }

    public required IReadOnlyList<QuantizationGroup> Groups { get; init; }

    /// <summary>Modules that stay as they are: names, `re:` and a regular expression, or with `*`.</summary>
    public required IReadOnlyList<string> Ignored { get; init; }

    /// <summary>True where the settings ask kernels to quantise activations too.</summary>
    public required bool QuantizesActivations { get; init; }

    /// <summary>The file's path, for errors.</summary>
    public string Source { get; init; } = "config.json";

    /// <summary>The group that a projection or an expert's matrix belongs to by its name; null: none.</summary>
    /// <exception cref="InvalidConfigurationException">A regular expression of the file takes too long.</exception>
    public QuantizationGroup? GroupOf(string module) =>
        Ignored.Any(pattern => Matches(pattern, module)) ? null
            : Groups.FirstOrDefault(group => group.Targets.Any(target => target != "Linear" && Matches(target, module)))
                ?? Groups.FirstOrDefault(group => group.Targets.Contains("Linear"));

    private bool Matches(string pattern, string module)
    {
        if (pattern.StartsWith("re:", StringComparison.Ordinal))
            try
            {
                return Regex.IsMatch(module, $"^(?:{pattern[3..]})", RegexOptions.None, MatchTimeout);
            }
            catch (RegexMatchTimeoutException e)
            {
                throw new InvalidConfigurationException(Source, "quantization_config", $"has the regular expression {pattern}, which takes "
                    + $"more than {MatchTimeout.TotalSeconds:0} s on {module}. Write a simpler one.", e);
            }
        if (!pattern.Contains('*')) return module == pattern || module.EndsWith("." + pattern, StringComparison.Ordinal);
        return Regex.IsMatch(
            module, $"^{Regex.Escape(pattern).Replace("\\*", ".*", StringComparison.Ordinal)}$", RegexOptions.NonBacktracking);
    }
}
