using System.ClientModel;
using Microsoft.Extensions.AI;
using OpenAI;
using OpenAI.Chat;

namespace DiffusionGemma;

/// <summary>The OpenAI package and Microsoft.Extensions.AI.OpenAI as clients.</summary>
public sealed class OpenAIClientTests : IAsyncLifetime
{
    private const string Key = "a key of the tests, long enough";
    private TestServer _server = null!;
    private OpenAIClient _client = null!;

    public async ValueTask InitializeAsync()
    {
        _server = await TestServer.StartAsync(options => options.ApiKey = Key);
        _client = new OpenAIClient(new ApiKeyCredential(Key), new OpenAIClientOptions { Endpoint = new Uri(_server.Address, "v1") });
    }

    public ValueTask DisposeAsync() => _server.DisposeAsync();

    [Fact]
    public async Task The_openai_package_lists_models_asks_and_streams()
    {
        Assert.Equal(TestServer.Model, Assert.Single((await _client.GetOpenAIModelClient().GetModelsAsync()).Value).Id);
        ChatClient chat = _client.GetChatClient(TestServer.Model);
#pragma warning disable OPENAI001                                               // the seed is still called experimental
        var options = new ChatCompletionOptions { Seed = 3, MaxOutputTokenCount = 32 };
#pragma warning restore OPENAI001
        ChatCompletion whole = await chat.CompleteChatAsync([new UserChatMessage("What is 2 plus 3?")], options);
        Assert.NotEmpty(whole.Content[0].Text);
        Assert.True(whole.Usage.InputTokenCount > 0 && whole.Usage.OutputTokenCount > 0);
        string streamed = "";
        ChatTokenUsage? usage = null;
        await foreach (StreamingChatCompletionUpdate update in chat.CompleteChatStreamingAsync(
            [new UserChatMessage("What is 2 plus 3?")], options))
        {
            streamed += string.Concat(update.ContentUpdate.Select(part => part.Text));
            usage = update.Usage ?? usage;
        }
        Assert.Equal(whole.Content[0].Text, streamed);
        Assert.Equal(whole.Usage.TotalTokenCount, usage!.TotalTokenCount);
    }

    [Fact]
    public async Task Microsofts_chat_client_over_it_answers_and_gets_errors()
    {
        using IChatClient chat = _client.GetChatClient(TestServer.Model).AsIChatClient();
        Assert.NotEmpty((await chat.GetResponseAsync("What is 2 plus 3?", new ChatOptions { MaxOutputTokens = 16 })).Text);
        ClientResultException refused = await Assert.ThrowsAsync<ClientResultException>(
            () => chat.GetResponseAsync("?", new ChatOptions { FrequencyPenalty = 1 }));
        Assert.Equal(400, refused.Status);
        Assert.Contains("frequency_penalty", refused.Message, StringComparison.Ordinal);

        var stranger = new OpenAIClient(
            new ApiKeyCredential("wrong"), new OpenAIClientOptions { Endpoint = new Uri(_server.Address, "v1") });
        Assert.Equal(401, (await Assert.ThrowsAsync<ClientResultException>(
            () => stranger.GetChatClient(TestServer.Model).CompleteChatAsync("?"))).Status);
    }
}
