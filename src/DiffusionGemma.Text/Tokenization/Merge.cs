namespace DiffusionGemma;

/// <summary>Two neighbouring tokens become one; merges stand in the file in the order of their rank.</summary>
internal readonly record struct Merge(int Left, int Right, int Result);
