using Microsoft.Extensions.AI;

namespace DiffusionGemma;

/// <summary>A client over a checkpoint that is named by its id on the Hub.</summary>
public sealed class HubCheckpointTests
{
    [Fact]
    public async Task AnIdIsDownloadedAndIsTheModelsName()
    {
        await using LoopbackHub hub = await LoopbackHub.StartAsync();
        var model = new ServedRepository { Id = "org/tiny-chat" };
        foreach (string file in Directory.EnumerateFiles(Fixtures.Checkpoint("tiny-chat")))
            model.Files.Add(Path.GetFileName(file), File.ReadAllBytes(file));
        model.Large.UnionWith(["model.safetensors", "tokenizer.json"]);
        hub.Models.Add(model);
        using TemporaryFolder home = Fixtures.Temporary();
        using var byFolder = DiffusionGemmaChatClient.Load(Fixtures.Checkpoint("tiny-chat"), TorchSharp.torch.CPU);
        using var byId = DiffusionGemmaChatClient.Load("org/tiny-chat", TorchSharp.torch.CPU, hub: hub.Options(home));
        Assert.Equal("org/tiny-chat", byId.GetService<ChatClientMetadata>()!.DefaultModelId);
        var options = new ChatOptions { Seed = 3, MaxOutputTokens = 16 };
        ChatResponse expected = await byFolder.GetResponseAsync("What is 2 plus 3?", options);
        ChatResponse response = await byId.GetResponseAsync("What is 2 plus 3?", options);
        Assert.Equal((expected.Text, "org/tiny-chat"), (response.Text, response.ModelId));

        hub.Models[0].Id = "org/renamed";
        HubException error = Assert.Throws<HubException>(() => DiffusionGemmaChatClient.Load(Fixtures.Checkpoint("tiny-chat"),
            TorchSharp.torch.CPU, adapter: "org/none", hub: hub.Options(home)));
        Assert.Equal(HubError.RepositoryNotFound, error.Error);
    }
}
