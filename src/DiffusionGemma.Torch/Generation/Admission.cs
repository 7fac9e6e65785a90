namespace DiffusionGemma;

/// <summary>Rows that join a batch.</summary>
/// <param name="Rows">The rows; may be none.</param>
/// <param name="SharedPrefixes">
/// What the prompts of each adapter's rows, and those of rows to come, begin with; where an adapter has none, as before.
/// </param>
internal sealed record Admission(IReadOnlyList<DenoisingRow> Rows, IReadOnlyDictionary<LoraAdapter, int[]>? SharedPrefixes = null);
