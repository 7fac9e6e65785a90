namespace DiffusionGemma;

/// <summary>What the model gave for one row.</summary>
internal sealed record Answer(string Text, int[] Ids, float TokensPerForward, int Steps);
