namespace DiffusionGemma;

/// <summary>A recipe cannot be run as it is written; nothing was loaded or trained.</summary>
public sealed class RecipeException : Exception
{
    /// <summary>Describes the faults of a recipe.</summary>
    /// <param name="path">The recipe's file.</param>
    /// <param name="faults">All faults that were found, at least one.</param>
    /// <param name="inner">What was thrown by a part that read the recipe; null: nothing.</param>
    public RecipeException(string path, IReadOnlyList<RecipeFault> faults, Exception? inner = null)
        : base(Describe(path, faults), inner) => (Path, Faults) = (path, faults);

    /// <summary>The recipe's file.</summary>
    public string Path { get; }

    /// <summary>All faults that were found, in the order of their lines.</summary>
    public IReadOnlyList<RecipeFault> Faults { get; }

    private static string Describe(string path, IReadOnlyList<RecipeFault> faults)
    {
        ArgumentException.ThrowIfNullOrEmpty(path);
        ArgumentNullException.ThrowIfNull(faults);
        return faults.Count == 1 ? $"{path}: {faults[0]}"
            : $"{path}: {faults.Count} faults\n{string.Join('\n', faults.Select(fault => $"  {fault}"))}";
    }
}
