namespace DiffusionGemma;

/// <summary>A proposed token and its probability for every candidate position; [C] each.</summary>
internal readonly record struct Proposals(int[] Tokens, double[] Probabilities);
