namespace DiffusionGemma;

/// <summary>The identity of a top-level type.</summary>
/// <param name="Project">The assembly's name.</param>
/// <param name="FullName">With its namespace and arity.</param>
internal readonly record struct TypeKey(string Project, string FullName);
