namespace DiffusionGemma;

/// <summary>A tool that a grammar lets an answer call.</summary>
/// <param name="Name">Its name.</param>
/// <param name="Schema">
/// The JSON schema of its arguments, an object. Where a grammar cannot hold it, the name alone is required, and the arguments are free.
/// </param>
public sealed record CallableTool(string Name, string Schema);
