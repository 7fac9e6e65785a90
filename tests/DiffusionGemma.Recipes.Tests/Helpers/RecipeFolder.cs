using System.Runtime.CompilerServices;

namespace DiffusionGemma;

/// <summary>A folder with rows of conversations and recipes for one test.</summary>
internal sealed class RecipeFolder : IDisposable
{
    private readonly TemporaryFolder _folder;

    public RecipeFolder([CallerMemberName] string name = "")
    {
        _folder = new TemporaryFolder(name);
        System.IO.File.WriteAllLines(Rows, Enumerable.Range(1, 12).Select(n =>
            $$"""{"messages":[{"role":"user","content":"{{n}} plus {{n}}?"},{"role":"assistant","content":"It is {{n + n}}."}]}"""));
    }

    public string Path => _folder.Path;

    /// <summary>Twelve short rows, under the name that the reference's recipes have.</summary>
    public string Rows => File("gsm8k_chat_train.jsonl");

    public string Output => File("out");

    public string File(string name) => _folder.File(name);

    public FineTuneRecipe Load(RecipeText recipe, params string[] overrides) => FineTuneRecipe.Load(recipe.Write(Path), overrides);

    public IReadOnlyList<RecipeFault> Faults(RecipeText recipe, params string[] overrides) => Faults(recipe.Write(Path), overrides);

    public IReadOnlyList<RecipeFault> Faults(string path, params string[] overrides) =>
        Assert.Throws<RecipeException>(() => FineTuneRecipe.Load(path, overrides)).Faults;

    public void Dispose() => _folder.Dispose();
}
