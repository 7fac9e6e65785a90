using static TorchSharp.torch;

namespace DiffusionGemma;

/// <summary>
/// Low-rank pairs of the vision part in adapters of other tools (<c>target_modules="all-linear"</c>): kept and written as they are, since
/// this library runs on text alone.
/// </summary>
internal static class VisionLora
{
    /// <summary>Returns true for the PEFT name of half a pair of the vision part.</summary>
    public static bool IsTensor(string name) =>
        name.StartsWith(PeftFolder.Outer, StringComparison.Ordinal) && CheckpointLayout.IsVision(name[PeftFolder.Outer.Length..])
        && (name.EndsWith(PeftFolder.SuffixOfA, StringComparison.Ordinal) || name.EndsWith(PeftFolder.SuffixOfB, StringComparison.Ordinal));

    /// <summary>Returns the module of half a pair, by its name in transformers and in the checkpoint.</summary>
    public static string ModuleOf(string name) => name[PeftFolder.Outer.Length..^PeftFolder.SuffixOfA.Length];

    public static string NameOfA(string module) => PeftFolder.NameOfA(module);

    public static string NameOfB(string module) => PeftFolder.NameOfB(module);

    /// <summary>Lists the functions that compute scale · B A of each module whose pair is two matrices.</summary>
    public static IEnumerable<KeyValuePair<string, Func<Tensor>>> Deltas(IReadOnlyDictionary<string, Tensor> kept, PeftConfig config)
    {
        foreach (string module in kept.Keys.Select(ModuleOf).Distinct())
        {
            (Tensor a, Tensor b) = (kept[NameOfA(module)], kept[NameOfB(module)]);
            if (a.dim() != 2 || b.dim() != 2)
                throw new InvalidOperationException(
                    $"The adapter changes {module} by a convolution's pair, which cannot be merged here. Merge it with PEFT.");
            var pair = new LoraPair(a, b, config.ScaleOf(module));
            yield return new(module, () => pair.FullDelta());
        }
    }
}
