using Microsoft.Extensions.AI;
using static TorchSharp.torch;

namespace DiffusionGemma;

/// <summary>Tools and schemas under a grammar, with the real engine: tiny-chat knows no tools, and calls them well all the same.</summary>
public sealed class ToolGrammarTests : IDisposable
{
    private static readonly AITool[] Tools =
    [
        AIFunctionFactory.Create((string city, int days) => days, "forecast"), AIFunctionFactory.Create((Unit unit) => 0, "units"),
    ];

    private readonly DiffusionGemmaModel _model = DiffusionGemmaModel.Load(Fixtures.Checkpoint("tiny-chat"), CPU, ScalarType.Float32);
    private readonly DiffusionGemmaChatClient _client;

    public ToolGrammarTests()
    {
        var queue = new GenerationQueue(_model, new GenerationOptions { MaxDenoisingSteps = 6 }, batchSize: 4);
        _client = new DiffusionGemmaChatClient(queue, TestChat.Chat, TestChat.Model, ownsQueue: true) { ConstrainsToolCalls = true };
    }

    public void Dispose()
    {
        _client.Dispose();
        _model.Dispose();
    }

    [Theory]
    [InlineData(null)]
    [InlineData("units")]
    public async Task ARequiredCallHasArgumentsOfItsSchema(string? name)
    {
        foreach (int seed in Enumerable.Range(1, 4))
        {
            var options = new ChatOptions
            {
                Tools = Tools, Seed = seed, MaxOutputTokens = 160, AllowMultipleToolCalls = false,
                ToolMode = name is null ? ChatToolMode.RequireAny : ChatToolMode.RequireSpecific(name),
            };
            ChatResponse response = await _client.GetResponseAsync("Rain?", options);
            var call = Assert.IsType<FunctionCallContent>(
                Assert.Single(response.Messages.SelectMany(message => message.Contents), content => content is not UsageContent));
            Assert.Equal(ChatFinishReason.ToolCalls, response.FinishReason);
            if (name is not null) Assert.Equal(name, call.Name);
            var function = (AIFunction)Tools.Single(tool => tool.Name == call.Name);
            await function.InvokeAsync(new AIFunctionArguments(call.Arguments));                // throws where an argument does not fit
        }
    }

    [Fact]
    public async Task BesideASchemaAnAnswerIsAnInstanceOrACall()
    {
        foreach (int seed in Enumerable.Range(1, 4))
        {
            ChatResponse<Sum> response = await _client.GetResponseAsync<Sum>(
                "What is 2 plus 3?", new ChatOptions { Tools = Tools, Seed = seed, MaxOutputTokens = 160 });
            AIContent[] contents = [.. response.Messages.SelectMany(message => message.Contents)];
            Assert.DoesNotContain(contents, content => content is ErrorContent);
            Assert.NotEqual(contents.Any(content => content is FunctionCallContent), response.TryGetResult(out _));
        }
    }

    [Fact]
    public async Task AFreeAnswerBesideToolsHasNoMalformedCall()
    {
        foreach (int seed in Enumerable.Range(1, 4))
        {
            ChatResponse response = await _client.GetResponseAsync(
                "What is 2 plus 3?", new ChatOptions { Tools = Tools, Seed = seed, MaxOutputTokens = 64, Temperature = 2 });
            Assert.DoesNotContain(response.Messages.SelectMany(message => message.Contents), content => content is ErrorContent);
        }
    }

    /// <summary>Without the option such answers stay free, and a required call's beginning is pinned.</summary>
    [Fact]
    public void TheOptionDecides()
    {
        var required = new ChatOptions { Tools = Tools, ToolMode = ChatToolMode.RequireAny };
        ChatMessage[] question = [new(ChatRole.User, "Rain?")];
        GenerationRequest free = TestChat.Read(question, required).Generation;
        Assert.Null(free.Options!.Grammar);
        Assert.NotNull(free.Pinned);
        var reader = new ChatRequestReader(TestChat.Chat, TestChat.Model);
        GenerationRequest constrained = reader.Read(_client, question, required, constrainsCalls: true).Generation;
        Assert.NotNull(constrained.Options!.Grammar);
        Assert.Null(constrained.Pinned);
        Assert.Null(reader.Read(_client, question, new ChatOptions(), constrainsCalls: true).Generation.Options!.Grammar);
        ChatOptions none = new() { Tools = Tools, ToolMode = ChatToolMode.None };
        Assert.Null(reader.Read(_client, question, none, constrainsCalls: true).Generation.Options!.Grammar);
    }

    internal enum Unit
    {
        Metric,
        Imperial,
    }

    internal sealed record Sum(int Total);
}
