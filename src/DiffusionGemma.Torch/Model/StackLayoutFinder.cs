namespace DiffusionGemma;

/// <summary>
/// Decides which of two layouts an adapter's expert stacks have: by the version of PEFT that wrote it, else by a stack that fits one of
/// them alone, else by the caller.
/// </summary>
internal sealed class StackLayoutFinder(SafetensorsFile file, string path, PeftConfig config, DiffusionGemmaModel model)
{
    private static readonly Version FirstOfNewer = new(0, 19, 1);

    /// <param name="stated">The caller's word; null: none.</param>
    /// <exception cref="AdapterException">All stacks fit both layouts and nothing tells, or the caller's word is not the
    /// version's.</exception>
    public ExpertStackLayout Find(ExpertStackLayout? stated)
    {
        ExpertStackLayout? byVersion = config.PeftVersion is { } version
            ? version < FirstOfNewer ? ExpertStackLayout.BeforePeft0191 : ExpertStackLayout.SincePeft0191
            : null;
        if (stated is { } word && byVersion is { } own && word != own)
            throw new AdapterException(
                $"{path}: the layout of expert stacks was said to be {word}, but peft_version of {PeftConfig.FileName} is "
                + $"{config.PeftVersion}, which writes {own}. Leave the layout out.");
        if ((byVersion ?? stated) is { } known) return known;

        bool hasStacks = false;
        foreach ((long width, StoredWeight weight) in Stacks())
        {
            (bool fitsNewer, bool fitsOlder) = (width == weight.Shape[2], width == weight.Shape[1]);
            if (fitsNewer != fitsOlder) return fitsNewer ? ExpertStackLayout.SincePeft0191 : ExpertStackLayout.BeforePeft0191;
            hasStacks |= fitsNewer;
        }
        if (!hasStacks) return ExpertStackLayout.SincePeft0191;
        throw new AdapterException(
            $"{path}: {PeftConfig.FileName} has no peft_version, and the adapter's expert stacks are square: it cannot be told whether "
            + "they were written by PEFT up to 0.19.0 or later, whose layouts are each other's transposes. Say which: "
            + $"LoraAdapter.Load(..., layout: {nameof(ExpertStackLayout)}.{nameof(ExpertStackLayout.SincePeft0191)} or "
            + $"{nameof(ExpertStackLayout.BeforePeft0191)}).");
    }

    /// <summary>Lists the columns of each adapted stack's A with the stack's weight.</summary>
    private IEnumerable<(long Width, StoredWeight Weight)> Stacks()
    {
        foreach (Experts experts in model.Stack.Layers.Select(layer => layer.Experts))
            foreach (Pass pass in new[] { Pass.Decoder, Pass.Encoder })
            {
                string module = PeftFolder.ModuleName(pass, experts.Name);
                (string? gateUp, string? down) = ExpertTargets.Wrappers(config.TargetParameters, module);
                foreach ((string? wrapper, StoredWeight weight) in new[] { (gateUp, experts.GateUp), (down, experts.Down) })
                    if (wrapper is not null && file.Tensors.TryGetValue(PeftFolder.NameOfA(module + wrapper), out TensorInfo? a)
                        && a.Shape.Count == 2)
                        yield return (a.Shape[1], weight);
            }
    }
}
