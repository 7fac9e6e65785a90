using System.Text.RegularExpressions;

namespace DiffusionGemma;

/// <summary>The `quantization_config` of a quantised checkpoint.</summary>
internal sealed record QuantizationSettings
{
    /// <summary>The forms that are read, as errors list them.</summary>
    public const string Supported =
        "compressed-tensors' int-quantized (8 bits a row), float-quantized (FP8 a row), pack-quantized (4 or 8 bits, in groups or rows), "
        + "nvfp4-pack-quantized and mxfp4-pack-quantized, and ModelOpt's NVFP4";

    /// <summary>`compressed-tensors` or `modelopt`.</summary>
    public required string Method { get; init; }

    public required IReadOnlyList<QuantizationGroup> Groups { get; init; }

    /// <summary>Modules that stay as they are: names, `re:` and a regular expression, or with `*`.</summary>
    public required IReadOnlyList<string> Ignored { get; init; }

    /// <summary>True where the settings ask kernels to quantise activations too.</summary>
    public required bool QuantizesActivations { get; init; }

    /// <summary>The group that a projection or an expert's matrix belongs to by its name; null: none.</summary>
    public QuantizationGroup? GroupOf(string module) =>
        Ignored.Any(pattern => Matches(pattern, module)) ? null
            : Groups.FirstOrDefault(group => group.Targets.Any(target => target != "Linear" && Matches(target, module)))
                ?? Groups.FirstOrDefault(group => group.Targets.Contains("Linear"));

    private static bool Matches(string pattern, string module)
    {
        if (pattern.StartsWith("re:", StringComparison.Ordinal)) return Regex.IsMatch(module, $"^(?:{pattern[3..]})");
        if (!pattern.Contains('*')) return module == pattern || module.EndsWith("." + pattern, StringComparison.Ordinal);
        return Regex.IsMatch(module, $"^{Regex.Escape(pattern).Replace("\\*", ".*", StringComparison.Ordinal)}$");
    }
}
