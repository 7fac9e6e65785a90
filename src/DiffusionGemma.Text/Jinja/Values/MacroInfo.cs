namespace DiffusionGemma.Jinja;

/// <summary>Signature of a macro, as a template may read it.</summary>
internal sealed record MacroInfo(IReadOnlyList<string> Parameters, bool TakesCaller, bool TakesMorePositional, bool TakesMoreNamed);
