namespace DiffusionGemma;

/// <summary>Rows that join a batch.</summary>
/// <param name="Rows">The rows; may be none.</param>
/// <param name="SharedPrefix">What their prompts, and prompts to come, begin with; null: as before.</param>
internal sealed record Admission(IReadOnlyList<DenoisingRow> Rows, int[]? SharedPrefix = null);
