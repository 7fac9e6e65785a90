namespace DiffusionGemma;

/// <summary>Kind of a node of a recipe.</summary>
internal enum RecipeNodeKind
{
    Scalar,
    List,
    Section,
}
