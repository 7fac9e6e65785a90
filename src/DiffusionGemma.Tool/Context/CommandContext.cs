namespace DiffusionGemma;

/// <summary>The surroundings of a command.</summary>
/// <param name="Output">Where it writes.</param>
/// <param name="Interruption">Ctrl+C.</param>
internal sealed record CommandContext(ToolOutput Output, Interruption Interruption);
