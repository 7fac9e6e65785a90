namespace DiffusionGemma;

/// <summary>A caller's request, as the engine takes it and as its answer is to be read.</summary>
internal sealed record ChatRequest(GenerationRequest Generation, ParserSettings Parsing);
