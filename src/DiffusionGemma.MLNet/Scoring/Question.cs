namespace DiffusionGemma;

/// <summary>The prompt of one row, its position, and its fault if it has one.</summary>
internal readonly record struct Question(int[] Prompt, ChatPosition Position, ChatDataException? Fault = null);
