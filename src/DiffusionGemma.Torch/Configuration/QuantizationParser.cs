using System.Text.RegularExpressions;

namespace DiffusionGemma;

/// <summary>Reads `quantization_config`; a form that is not supported is refused by its name.</summary>
internal static class QuantizationParser
{
    /// <summary>ModelOpt's own file, which holds the settings where config.json has none.</summary>
    public const string ModelOptFileName = "hf_quant_config.json";

    private static readonly Dictionary<string, string> OtherMethods = new()
    {
        ["awq"] = "AWQ's own layout (qweight, qzeros)",
        ["bitsandbytes"] = "bitsandbytes",
        ["gguf"] = "GGUF",
        ["gptq"] = "GPTQ",
        ["fp8"] = "FP8 with a scale a block",
    };

    /// <param name="section">The object `quantization_config`.</param>
    public static QuantizationSettings Read(ConfigSection section) => section.String("quant_method") switch
    {
        "compressed-tensors" => ReadCompressedTensors(section),
        "modelopt" => ReadModelOpt(section, "ignore"),
        var method => throw Refuse(
            section, "quant_method", $"is \"{method}\"{(OtherMethods.TryGetValue(method, out string? known) ? $" ({known})" : "")}"),
    };

    /// <param name="section">The object `quantization` of hf_quant_config.json.</param>
    public static QuantizationSettings ReadModelOptFile(ConfigSection section) => ReadModelOpt(section, "exclude_modules");

    private static QuantizationSettings ReadCompressedTensors(ConfigSection section)
    {
        string format = section.Has("format") ? section.String("format") : "";
        if (section.Has("kv_cache_scheme")) throw Refuse(section, "kv_cache_scheme", "is set (a quantised cache)");
        foreach (string option in (string[])["sparsity_config", "moe_sparsity_config"])
            if (section.Has(option) && section.Section(option) is var sparsity && sparsity.Names.Any()
                && !(sparsity.Has("format") && sparsity.String("format") == "dense"))
                throw Refuse(section, option, "is set (sparsity)");
        if (section.Has("transform_config") && section.Section("transform_config").Names.Any())
            throw Refuse(section, "transform_config", "is set (rotated weights)");
        if (section.Has("quantization_status") && section.String("quantization_status") is not "compressed" and var status)
            throw Refuse(section, "quantization_status", $"is \"{status}\"; the weights must be \"compressed\"");
        return Settings(section, "compressed-tensors", "ignore", group => ReadFormat(group, format));
    }

    private static QuantizationSettings ReadModelOpt(ConfigSection section, string ignore)
    {
        if (section.String("quant_algo") is not "NVFP4" and var algorithm)
            throw Refuse(section, "quant_algo", $"is \"{algorithm}\" of ModelOpt");
        foreach (string option in (string[])["kv_cache_scheme", "kv_cache_quant_algo"])
            if (section.Has(option)) throw Refuse(section, option, "is set (a quantised cache)");
        if (section.Has("config_groups")) return Settings(section, "modelopt", ignore, _ => "nvfp4-pack-quantized");
        return new QuantizationSettings
        {
            Method = "modelopt",
            Groups = [new(["Linear"], "nvfp4-pack-quantized", 4, true, section.Has("group_size") ? section.PositiveInt("group_size") : 16)],
            Ignored = Patterns(section, ignore),
            QuantizesActivations = true,
        };
    }

    private static QuantizationSettings Settings(
        ConfigSection section, string method, string ignore, Func<ConfigSection, string> format)
    {
        ConfigSection groups = section.Section("config_groups");
        bool activations = false;
        var read = new List<QuantizationGroup>();
        foreach (string name in groups.Names)
        {
            ConfigSection group = groups.Section(name);
            activations |= group.Has("input_activations");
            read.Add(ReadGroup(group, format(group)));
        }
        return new QuantizationSettings
        {
            Method = method, Groups = read, Ignored = Patterns(section, ignore), QuantizesActivations = activations,
        };
    }

    private static QuantizationGroup ReadGroup(ConfigSection group, string format)
    {
        ConfigSection weights = group.Section("weights");
        if (weights.Has("actorder") && weights.TextOrBool("actorder") is not ("weight" or "static" or "false") and var order)
            throw Refuse(weights, "actorder", $"is \"{order}\" (columns in the order of activations)");
        string strategy = weights.Has("strategy") ? weights.String("strategy") : "";
        if (strategy is not ("" or "channel" or "group" or "tensor_group"))
            throw Refuse(weights, "strategy", $"is \"{strategy}\"; a scale must belong to a row or to a group in a row");
        int bits = weights.PositiveInt("num_bits");
        bool isInteger = !weights.Has("type") || weights.String("type") == "int";
        (int[] allowed, bool integers) = format switch
        {
            "int-quantized" => (new[] { 8 }, true),
            "float-quantized" => ([8], false),
            "pack-quantized" => ([4, 8], true),
            _ => ([4], false),
        };
        if (!allowed.Contains(bits)) throw Refuse(weights, "num_bits", $"is {bits} in the format {format}");
        if (isInteger != integers) throw Refuse(weights, "type", $"is \"{weights.String("type")}\" in the format {format}");
        bool symmetric = !weights.Has("symmetric") || weights.Bool("symmetric");
        if (!symmetric && format != "pack-quantized")
            throw Refuse(weights, "symmetric", $"is false (zero points) in the format {format}");
        int size = weights.Has("group_size") ? weights.Int("group_size") : -1;
        return new QuantizationGroup(Patterns(group, "targets"), format, bits, symmetric, size > 0 ? size : null);
    }

    private static string ReadFormat(ConfigSection group, string common)
    {
        string format = group.Has("format") ? group.String("format") : common;
        return format is "int-quantized" or "float-quantized" or "pack-quantized" or "nvfp4-pack-quantized" or "mxfp4-pack-quantized"
            ? format
            : throw Refuse(group, "format", $"is \"{format}\"");
    }

    private static IReadOnlyList<string> Patterns(ConfigSection section, string option)
    {
        IReadOnlyList<string> patterns = section.Has(option) ? section.Strings(option) : [];
        foreach (string pattern in patterns.Where(p => p.StartsWith("re:", StringComparison.Ordinal)))
            try
            {
                _ = new Regex(pattern[3..]);
            }
            catch (ArgumentException e)
            {
                throw section.Error(option, $"has {pattern}, which is no regular expression: {e.Message}");
            }
        return patterns;
    }

    private static InvalidConfigurationException Refuse(ConfigSection section, string option, string problem) =>
        section.Error(option, $"{problem}, which is not supported. Forms that are read: {QuantizationSettings.Supported}.");
}
