namespace DiffusionGemma;

/// <summary>The recipes of samples/recipes, and the page that says what becomes of each key.</summary>
public class SampleRecipeTests
{
    [Theory]
    [InlineData("tiny_chat_lora.yaml")]
    [InlineData("diffusiongemma_lora.yaml")]
    public void The_recipes_of_the_repository_have_no_faults(string name)
    {
        using var folder = new RecipeFolder();
        FineTuneRecipe recipe = FineTuneRecipe.Load(
            Path.Combine(Fixtures.Root, "samples", "recipes", name), ["--dataset.path_or_dataset_id", folder.Rows]);
        Assert.NotNull(recipe.Options.Lora);
        // The two name no key without effect; the large one more ranks than this machine has.
        Assert.All(recipe.Notices, notice => Assert.StartsWith("distributed.ep_size is 8", notice));
    }

    [Fact]
    public void The_page_about_recipes_names_every_key()
    {
        string page = File.ReadAllText(Path.Combine(Fixtures.Root, "docs", "recipes.md"));
        string[] missing = [.. RecipeKeys.All.Select(key => key.Path.Replace("validation_data", "data", StringComparison.Ordinal))
            .Where(path => !page.Contains($"`{path}`", StringComparison.Ordinal))];
        Assert.Empty(missing);
    }

    [Fact]
    public void Every_key_is_known_once() => Assert.Equal(RecipeKeys.All.Count, RecipeKeys.All.Select(key => key.Path).Distinct().Count());
}
