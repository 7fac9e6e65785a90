namespace DiffusionGemma;

/// <summary>What happened to one answer; a stream of them ends with <see cref="CompletedUpdate"/>.</summary>
public abstract record GenerationUpdate;
