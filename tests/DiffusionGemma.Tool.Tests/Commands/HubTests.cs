namespace DiffusionGemma.Commands;

/// <summary>A recipe whose checkpoint and data are on a Hub on the loopback.</summary>
[Collection(OneByOne.Name)]
public sealed class HubTests
{
    [Fact]
    public async Task A_recipe_is_trained_from_the_Hub_with_curves_at_the_end()
    {
        await using LoopbackHub hub = await LoopbackHub.StartAsync();
        hub.Models.Add(TinyChat());
        hub.Datasets.Add(Gsm8k());
        using TemporaryFolder folder = Fixtures.Temporary();
        DiffusionGemmaCheckpoints.Hub = hub.Options(folder);
        try
        {
            string rows = folder.File("rows.jsonl"), output = folder.File("out");
            ToolRun prepared = await ToolRun.SucceedAsync("prepare", "gsm8k", "--output", rows, "--json");
            Assert.Equal(200, Assert.Single(prepared.Objects).GetProperty("rows").GetInt32());
            ToolRun downloaded = await ToolRun.SucceedAsync("download", "org/tiny-chat");
            Assert.True(File.Exists(Path.Combine(downloaded.Output.Trim(), "model.safetensors")));
            Assert.Contains("org/tiny-chat: ", downloaded.Error, StringComparison.Ordinal);
            int requests = hub.Requests.Count(request => request.Path.EndsWith("/model.safetensors", StringComparison.Ordinal));

            string recipe = TrainedRun.WriteRecipe(folder.Path, output, "org/tiny-chat");
            ToolRun trained = await ToolRun.SucceedAsync(
                "train", recipe, "--step_scheduler.max_steps", "2", "--device", "cpu", "--json");
            Assert.Equal(2, trained.Events("step").Count);
            Assert.True(new FileInfo(Path.Combine(output, "report", "curves.png")).Length > 1000);
            ToolRun chat = await ToolRun.SucceedAsync("chat", output, "--prompt", "What is 8 plus 7?", "--max-new-tokens", "32");
            Assert.NotEmpty(chat.Output.Trim());
            Assert.Equal(requests, hub.Requests.Count(request => request.Path.EndsWith("/model.safetensors", StringComparison.Ordinal)));

            ToolRun missing = await ToolRun.RunAsync("chat", "org/tiny-chta", "--prompt", "Hello");
            Assert.Equal(ExitCode.Checkpoint, missing.Code);
            Assert.DoesNotContain(LoopbackHub.Token, missing.Error, StringComparison.Ordinal);
            ToolRun noData = await ToolRun.RunAsync("download", "hf://datasets/openai/nothing/*.parquet");
            Assert.Equal(ExitCode.Data, noData.Code);
        }
        finally
        {
            DiffusionGemmaCheckpoints.Hub = null;
        }
    }

    private static ServedRepository TinyChat()
    {
        var model = new ServedRepository { Id = "org/tiny-chat" };
        foreach (string file in Directory.EnumerateFiles(Fixtures.Checkpoint("tiny-chat")))
            model.Files.Add(Path.GetFileName(file), File.ReadAllBytes(file));
        model.Large.Add("model.safetensors");
        return model;
    }

    private static ServedRepository Gsm8k()
    {
        var data = new ServedRepository { Id = "openai/gsm8k" };
        string source = Path.Combine(Fixtures.Root, "datasets", "arithmetic", "test.parquet");
        data.Files.Add("main/train-00000-of-00001.parquet", File.ReadAllBytes(source));
        return data;
    }
}
