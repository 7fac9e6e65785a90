namespace DiffusionGemma;

/// <summary>Places where the paths of a recipe are looked for: beside the recipe, then the working folder.</summary>
/// <param name="Recipe">The recipe's folder.</param>
/// <param name="Working">The working folder.</param>
internal sealed record RecipeFolders(string Recipe, string Working)
{
    /// <summary>The file or folder that a path names; null where it is not there.</summary>
    public string? Find(string path) => Candidates(path).FirstOrDefault(Path.Exists);

    /// <summary>The places in words, for an error.</summary>
    public string Describe(string path) => string.Join(" or ", Candidates(path).Distinct());

    /// <summary>The full path of a file or folder that is written.</summary>
    public string Output(string path) => Path.GetFullPath(path, Working);

    private IEnumerable<string> Candidates(string path) => [Path.GetFullPath(path, Recipe), Path.GetFullPath(path, Working)];
}
