namespace DiffusionGemma;

/// <summary>A conversation as the model reads it.</summary>
/// <param name="Ids">Token ids of the whole conversation.</param>
/// <param name="AssistantMask">For each id, whether the assistant wrote it; all false when the conversation waits for an answer.</param>
public sealed record TokenizedChat(int[] Ids, bool[] AssistantMask);
