namespace DiffusionGemma;

/// <summary>
/// Converts between adapted expert stacks and PEFT's target_parameters. PEFT wraps the experts' module once for each targeted stack,
/// gate_up_proj first: with two, the outer wrapper (<c>experts.lora_*</c>) is down_proj's and the inner one
/// (<c>experts.base_layer.lora_*</c>) gate_up_proj's. A stack that is targeted alone has the outer wrapper, whichever it is.
/// </summary>
internal static class ExpertTargets
{
    private const string GateUp = "gate_up_proj", Down = "down_proj";

    /// <summary>Returns the suffixes of the two stacks' matrices after the module's name; null = not adapted.</summary>
    public static (string? GateUp, string? Down) Wrappers(bool gateUp, bool down) =>
        (gateUp ? down ? ".base_layer" : "" : null, down ? "" : null);

    /// <summary>
    /// Finds the wrappers by an adapter_config.json, where a target is a parameter's whole name in transformers, or the last parts of it.
    /// </summary>
    public static (string? GateUp, string? Down) Wrappers(IReadOnlyList<string> targets, string module)
    {
        bool IsTargeted(string stack) => targets.Any(target => $".{module}.{stack}".EndsWith($".{target}", StringComparison.Ordinal));
        return Wrappers(IsTargeted(GateUp), IsTargeted(Down));
    }

    /// <summary>
    /// Lists an adapter's target_parameters: a stack's short name where it is adapted everywhere, else whole names; null where none is.
    /// </summary>
    public static IReadOnlyList<string>? List(LoraAdapter adapter)
    {
        var modules = (
            from pass in new[] { Pass.Decoder, Pass.Encoder }
            from module in adapter.AllExperts
            let pair = adapter.ExpertStacks.GetValueOrDefault(module)
            select (Name: PeftFolder.ModuleName(pass, module), Lora: pass == Pass.Decoder ? pair.Decoder : pair.Encoder)).ToList();

        IEnumerable<string> Targets(string stack, Func<ExpertsLora, ExpertStackLora?> of)
        {
            var adapted = modules.Where(m => m.Lora is not null && of(m.Lora) is not null).ToList();
            return adapted.Count == modules.Count ? [$"experts.{stack}"] : adapted.Select(m => $"{m.Name}.{stack}");
        }
        List<string> targets = [.. Targets(GateUp, lora => lora.GateUp), .. Targets(Down, lora => lora.Down)];
        return targets.Count == 0 ? null : targets;
    }
}
