namespace DiffusionGemma;

/// <summary>A key of NeMo AutoModel's recipes that is known here.</summary>
/// <param name="Path">The key with its sections: <c>optimizer.lr</c>.</param>
/// <param name="Use">What becomes of it.</param>
/// <param name="Meaning">The option that it sets, or the reason why it has none.</param>
internal sealed record RecipeKey(string Path, RecipeKeyUse Use, string Meaning);
