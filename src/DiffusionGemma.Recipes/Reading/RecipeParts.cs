namespace DiffusionGemma;

/// <summary>The parts of a recipe, read and checked.</summary>
internal sealed record RecipeParts
{
    public required string Path { get; init; }

    public required string Checkpoint { get; init; }

    public required string? ChatTemplate { get; init; }

    public required RecipeData Train { get; init; }

    public required RecipeData? Validation { get; init; }

    public required int? ValidationEverySteps { get; init; }

    public required int? PadMultiple { get; init; }

    public required FineTuneOptions Options { get; init; }

    public required string Folder { get; init; }

    public required bool IsSaved { get; init; }

    public required IReadOnlyList<string> Notices { get; init; }

    /// <summary>Compared with the checkpoint once it is here; null: it was, and fits.</summary>
    public required CheckpointFacts? Unchecked { get; init; }
}
