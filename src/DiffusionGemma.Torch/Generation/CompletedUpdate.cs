namespace DiffusionGemma;

/// <summary>The answer is complete.</summary>
/// <param name="Result">All of it.</param>
public sealed record CompletedUpdate(GenerationResult Result) : GenerationUpdate;
