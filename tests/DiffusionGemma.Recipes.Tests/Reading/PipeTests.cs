namespace DiffusionGemma;

public sealed class PipeTests
{
    [Fact]
    public void A_recipe_that_is_a_pipe_is_refused()
    {
        using TemporaryFolder folder = Fixtures.Temporary();
        string path = folder.File("recipe.yaml");
        NamedPipe.Make(path);
        Assert.IsAssignableFrom<IOException>(NamedPipe.Refused(path, () => FineTuneRecipe.Load(path)));
    }
}
