namespace DiffusionGemma;

/// <summary>The complete answer.</summary>
/// <param name="Result">The answer.</param>
public sealed record CompletedUpdate(GenerationResult Result) : GenerationUpdate;
