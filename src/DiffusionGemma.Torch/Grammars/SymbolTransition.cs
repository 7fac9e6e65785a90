namespace DiffusionGemma;

/// <summary>A transition by any symbol of an inclusive range.</summary>
internal readonly record struct SymbolTransition(int First, int Last, int To);
