namespace DiffusionGemma;

/// <summary>A caller's request, as the engine takes it and as its answer is to be read.</summary>
/// <param name="Generation">Prompt and options of generation.</param>
/// <param name="Parsing">Options of reading the answer.</param>
/// <param name="KeepsReasoning">False leaves reasoning out of the response.</param>
/// <param name="ModelId">The name of the model, or of its adapter, that answers.</param>
internal sealed record ChatRequest(GenerationRequest Generation, AnswerParserOptions Parsing, bool KeepsReasoning, string? ModelId);
