namespace DiffusionGemma;

/// <summary>One event of a streamed answer; the last one is a <see cref="CompletedUpdate"/>.</summary>
public abstract record GenerationUpdate;
