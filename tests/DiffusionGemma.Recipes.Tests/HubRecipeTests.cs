using Microsoft.ML;

namespace DiffusionGemma;

/// <summary>A recipe whose checkpoint and rows are on the Hub, from a server on the loopback.</summary>
[Collection(nameof(HubRecipeTests))]
[CollectionDefinition(nameof(HubRecipeTests), DisableParallelization = true)]
public sealed class HubRecipeTests : IAsyncLifetime
{
    private readonly TemporaryFolder _home = Fixtures.Temporary("hub");
    private LoopbackHub _hub = null!;

    public async ValueTask InitializeAsync()
    {
        _hub = await LoopbackHub.StartAsync();
        var model = new ServedRepository { Id = "org/tiny-chat" };
        foreach (string file in Directory.EnumerateFiles(Fixtures.Checkpoint("tiny-chat")))
            model.Files.Add(Path.GetFileName(file), File.ReadAllBytes(file));
        model.Large.UnionWith(["model.safetensors", "tokenizer.json"]);
        _hub.Models.Add(model);
        var data = new ServedRepository { Id = "openai/gsm8k" };
        data.Files.Add("main/test-00000-of-00001.parquet",
            File.ReadAllBytes(Path.Combine(Fixtures.Root, "datasets", "arithmetic", "test.parquet")));
        _hub.Datasets.Add(data);
        DiffusionGemmaCheckpoints.Hub = _hub.Options(_home);
    }

    public async ValueTask DisposeAsync()
    {
        DiffusionGemmaCheckpoints.Hub = null;
        await _hub.DisposeAsync();
        _home.Dispose();
    }

    [Fact]
    public void The_checkpoint_is_compared_with_the_recipe_before_its_weights_are_downloaded_and_then_trained()
    {
        using var folder = new RecipeFolder();
        var ml = new MLContext(seed: 1);
        int rows = Gsm8k.WriteConversations(ml, folder.Rows, Gsm8k.TestFiles);
        Assert.Equal(200, rows);

        RecipeText text = RecipeText.Lora().ForTinyChat(folder.Rows, folder.Output).Without("dataset.chat_template").Set(
            "model.pretrained_model_name_or_path: org/tiny-chat", "step_scheduler.max_steps: 2");
        FineTuneRecipe wrong = folder.Load(text, "--model.canvas_length", "256");       // it cannot be known yet
        RecipeException error = Assert.Throws<RecipeException>(() => wrong.Fit(ml));
        Assert.Contains("--model.canvas_length 32", error.Message);
        Assert.DoesNotContain(_hub.Gets, request => request.Path.Contains("safetensors"));

        using RecipeRun run = folder.Load(text).Fit(ml);
        Assert.Equal(2, run.History.Count);
        Assert.StartsWith("org/tiny-chat@", run.Answers.Checkpoint.Path);
        // It is in the cache now, where a recipe is compared with it at once.
        Assert.Contains("--model.canvas_length 32", Assert.Single(folder.Faults(text, "--model.canvas_length", "256")).Message);
    }
}
