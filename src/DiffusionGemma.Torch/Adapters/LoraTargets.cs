using System.Text.RegularExpressions;

namespace DiffusionGemma;

/// <summary>Converts between target names, modules, and the regular expression that PEFT stores.</summary>
internal static partial class LoraTargets
{
    private const string Decoder = "model.decoder.", SelfConditioning = Decoder + "self_conditioning.";

    /// <summary>Returns true for modules that the encoder lacks.</summary>
    public static bool IsDecoderOnly(string module) => module.StartsWith(SelfConditioning, StringComparison.Ordinal);

    /// <summary>Finds the projections that the targets name; every target must name at least one.</summary>
    /// <exception cref="ArgumentException">A target matches nothing.</exception>
    public static IReadOnlyList<string> Match(IReadOnlyList<string> targets, IReadOnlyList<string> modules)
    {
        var matched = new HashSet<string>();
        foreach (string target in targets)
        {
            Regex pattern = target.Contains('*')
                ? new Regex(
                    $"^{Regex.Escape(target).Replace("\\*", ".*", StringComparison.Ordinal)}$",
                    RegexOptions.CultureInvariant | RegexOptions.NonBacktracking)
                : new Regex($"(^|\\.){Regex.Escape(target)}$", RegexOptions.CultureInvariant);
            var hits = modules.Where(m => pattern.IsMatch(m)).ToList();
            if (hits.Count == 0)
                throw new ArgumentException(
                    $"LoRA target '{target}' matches none of the model's {modules.Count} projections. They end in: "
                    + $"{string.Join(", ", modules.Select(Suffix).Distinct())}.", nameof(targets));
            matched.UnionWith(hits);
        }
        return [.. modules.Where(matched.Contains)];
    }

    /// <summary>
    /// Builds a regular expression over transformers' module names that matches the adapted projections of both passes and nothing else:
    /// plain names would match the vision tower too.
    /// </summary>
    /// <param name="adapted">Names of adapted projections, as in the checkpoint; of the vision part too.</param>
    /// <param name="modules">Names of all projections of the layers.</param>
    /// <param name="bothPasses">False: only the decoder's.</param>
    /// <returns>Null where nothing is adapted.</returns>
    public static string? PeftPattern(IReadOnlyList<string> adapted, IReadOnlyList<string> modules, bool bothPasses)
    {
        string[] own = [.. adapted.Where(IsDecoderOnly)];
        string[] vision = [.. adapted.Where(CheckpointLayout.IsVision)], layers = [.. adapted.Except(own).Except(vision)];
        string[] patterns =
        [
            .. layers.Length == 0 ? Array.Empty<string>() : [LayersPattern(layers, modules, bothPasses)],
            .. own.Length == 0
                ? Array.Empty<string>()
                : [$@".*decoder\.({string.Join('|', own.Select(m => Regex.Escape(m[Decoder.Length..])))})$"],
            .. vision.Length == 0 ? Array.Empty<string>() : [string.Join('|', vision.Select(Regex.Escape))],
        ];
        return patterns.Length switch { 0 => null, 1 => patterns[0], _ => $"({string.Join('|', patterns)})" };
    }

    /// <summary>Removes the layer's prefix: "self_attn.q_proj" of "model.decoder.layers.3.self_attn.q_proj".</summary>
    public static string Suffix(string module) => LayerPrefix().Replace(module, "");

    private static string LayersPattern(IReadOnlyList<string> adapted, IReadOnlyList<string> modules, bool bothPasses)
    {
        string stack = bothPasses ? "(language_model|decoder)" : "decoder";
        var suffixes = adapted.Select(Suffix).ToHashSet();
        string tail;
        if (adapted.ToHashSet().SetEquals(modules.Where(m => suffixes.Contains(Suffix(m)))))
        {
            string letters = string.Concat("qkvo".Where(c => suffixes.Contains($"self_attn.{c}_proj")));
            string dense = string.Join('|', new[] { "gate", "up", "down" }.Where(n => suffixes.Contains($"mlp.{n}_proj")));
            string[] kinds =
            [
                .. letters.Length > 0 ? [$@"self_attn\.[{letters}]_proj"] : Array.Empty<string>(),
                .. dense.Length > 0 ? [$@"mlp\.({dense})_proj"] : Array.Empty<string>(),
            ];
            tail = $@"layers\.\d+\.({string.Join('|', kinds)})$";
        }
        else
        {
            tail = $"({string.Join('|', adapted.Select(m => Regex.Escape(m[Decoder.Length..])))})$";
        }
        return $@".*{stack}\.{tail}";
    }

    [GeneratedRegex(@"^model\.decoder\.layers\.\d+\.")]
    private static partial Regex LayerPrefix();
}
