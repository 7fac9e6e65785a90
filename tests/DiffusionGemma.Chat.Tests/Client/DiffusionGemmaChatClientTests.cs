using Microsoft.Extensions.AI;

namespace DiffusionGemma;

public sealed class DiffusionGemmaChatClientTests
{
    private static readonly ChatMessage[] Question = [new(ChatRole.User, "Rain?")];

    [Fact]
    public async Task AStreamAppendsCommittedText()
    {
        using DiffusionGemmaChatClient client = TestChat.Saying("It rains, 日本 🌞.<turn|>", canvas: 3);
        List<ChatResponseUpdate> updates = await client.GetStreamingResponseAsync(Question).ToListAsync();
        Assert.Equal("It rains, 日本 🌞.", string.Concat(updates.Select(update => update.Text)));
        Assert.True(updates.Count > 3);
        Assert.All(updates, update =>
        {
            Assert.Equal(ChatRole.Assistant, update.Role);
            Assert.Equal(updates[0].ResponseId, update.ResponseId);
            Assert.Equal(updates[0].MessageId, update.MessageId);
            Assert.Equal(TestChat.Model, update.ModelId);
            Assert.NotNull(update.CreatedAt);
            Assert.NotEmpty(update.Contents);
        });
        Assert.All(updates[..^1], update => Assert.Null(update.FinishReason));
        Assert.Equal(ChatFinishReason.Stop, updates[^1].FinishReason);
        Assert.Single(updates[^1].Contents.OfType<UsageContent>());
    }

    [Theory]
    [InlineData("It rains.<turn|>")]
    [InlineData("<|channel>thought\nRain?\n<channel|>It rains.<turn|>")]
    [InlineData("<|channel>thought\nRain?\n<channel|>See: <|tool_call>call:f{a:1}<tool_call|><|tool_response>")]
    [InlineData("<|tool_call>f<tool_call|>")]
    [InlineData("")]
    public async Task AResponseIsTheWholeStream(string answer)
    {
        using DiffusionGemmaChatClient client = TestChat.Saying(answer);
        ChatResponse streamed = (await client.GetStreamingResponseAsync(Question).ToListAsync()).ToChatResponse(),
            whole = await client.GetResponseAsync(Question);
        ChatMessage message = Assert.Single(whole.Messages);
        Assert.Equal(TestChat.Describe(streamed.Messages[0].Contents), TestChat.Describe(message.Contents));
        Assert.DoesNotContain(message.Contents, content => content is UsageContent);
        Assert.Equal(ChatRole.Assistant, message.Role);
        Assert.Equal(streamed.FinishReason, whole.FinishReason);
        Assert.Equal(streamed.Usage!.OutputTokenCount, whole.Usage!.OutputTokenCount);
        Assert.NotEqual(streamed.ResponseId, whole.ResponseId);
        Assert.Equal(whole.ResponseId, message.MessageId);
    }

    [Fact]
    public async Task TokensAreCounted()
    {
        using DiffusionGemmaChatClient client = TestChat.Saying("<|channel>thought\nRain?\n<channel|>It rains.<turn|>");
        ChatResponse response = await client.GetResponseAsync(Question);
        int prompt = TestChat.Read(Question).Generation.Prompt.Length,
            all = TestChat.Ids("<|channel>thought\nRain?\n<channel|>It rains.<turn|>").Length;
        Assert.Equal((prompt, all, prompt + all),
            (response.Usage!.InputTokenCount, response.Usage.OutputTokenCount, response.Usage.TotalTokenCount));
        Assert.Equal(TestChat.Ids("<|channel>thought\nRain?\n<channel|>").Length, response.Usage.ReasoningTokenCount);
        int canvases = (all + 3) / 4;
        Assert.Equal(canvases * ScriptedEngine.StepsPerCanvas, response.Usage.AdditionalCounts![DiffusionGemmaChatClient.StepCount]);
    }

    [Fact]
    public async Task FinishReasonsAreTheFrameworks()
    {
        Assert.Equal(ChatFinishReason.Stop, await Reason("It rains.<turn|>", FinishReason.End));
        Assert.Equal(ChatFinishReason.Length, await Reason("It rai", FinishReason.Length));
        Assert.Equal(ChatFinishReason.Length, await Reason("<|channel>thought\nRai", FinishReason.Length));
        Assert.Equal(ChatFinishReason.ToolCalls, await Reason("<|tool_call>call:f{}<tool_call|><|tool_response>", FinishReason.End));
        Assert.Equal(ChatFinishReason.Length, await Reason("<|tool_call>call:f{a:", FinishReason.Length));
        Assert.Equal(ChatFinishReason.Stop, await Reason("It rains. END of it", FinishReason.Length, "END"));

        static async Task<ChatFinishReason?> Reason(string answer, FinishReason finish, params string[] stops)
        {
            using DiffusionGemmaChatClient client = TestChat.Client(new ScriptedEngine(_ => TestChat.Ids(answer).Chunk(4), finish));
            return (await client.GetResponseAsync(Question, new ChatOptions { StopSequences = stops })).FinishReason;
        }
    }

    [Theory]
    [InlineData("one END two three four five six")]
    [InlineData("one <|tool_response> two three four five six")]
    public async Task WhatTheAnswerEndsWithEndsTheEngineToo(string answer)
    {
        ScriptedEngine engine = new(_ => TestChat.Ids(answer).Chunk(1));
        using DiffusionGemmaChatClient client = TestChat.Client(engine);
        ChatResponse response = await client.GetResponseAsync(Question, new ChatOptions { StopSequences = ["END"] });
        Assert.Equal("one ", response.Text);
        Assert.Equal(response.Usage!.OutputTokenCount, engine.Canvases);
        Assert.True(engine.Canvases < TestChat.Ids(answer).Length);
    }

    [Fact]
    public async Task DraftsComeWhereAskedForAndAreNoText()
    {
        ScriptedEngine engine = new(_ => TestChat.Ids("It rains.<turn|>").Chunk(3));
        using DiffusionGemmaChatClient client = TestChat.Client(engine, streamsDrafts: true);
        List<ChatResponseUpdate> updates = await client.GetStreamingResponseAsync(Question).ToListAsync();
        List<ChatResponseUpdate> drafts = [.. updates.Where(update => update.RawRepresentation is DraftUpdate)];
        Assert.Equal(engine.Canvases, drafts.Count);
        Assert.All(drafts, draft => Assert.Empty(draft.Contents));
        Assert.Equal("It rains.", updates.ToChatResponse().Text);
        Assert.Equal("It rains.", (await client.GetResponseAsync(Question)).Text);
    }

    [Fact]
    public async Task EachOfManyCallersGetsItsOwnAnswer()
    {
        ScriptedEngine engine = new(
            request => TestChat.Ids(
            $"You said: {TestChat.Text(request.Prompt)}<eos>".Replace("<|turn>", "[", StringComparison.Ordinal)
            .Replace("<turn|>", "]", StringComparison.Ordinal)).Chunk(2));
        using DiffusionGemmaChatClient client = TestChat.Client(engine);
        await Task.WhenAll(Enumerable.Range(0, 200).Select(async n =>
        {
            string text = (await client.GetResponseAsync(new ChatMessage(ChatRole.User, $"number {n}."))).Text;
            Assert.Contains($"number {n}.", text, StringComparison.Ordinal);
        }));
        Assert.Equal(200, engine.Requests.Count);
    }

    [Fact]
    public async Task ACancelledCallerLeavesTheOthersAlone()
    {
        TaskCompletionSource open = new();
        ScriptedEngine engine = new(
            _ => TestChat.Ids("one two three four<turn|>").Chunk(2))
        {
            BeforeCanvas = (canvas, cancellation) =>
            canvas == 0 ? Task.CompletedTask : open.Task.WaitAsync(cancellation)
        };
        using DiffusionGemmaChatClient client = TestChat.Client(engine);
        using CancellationTokenSource cancelled = new();
        Task<ChatResponse> first = client.GetResponseAsync(Question, cancellationToken: cancelled.Token),
            second = client.GetResponseAsync(Question);
        await cancelled.CancelAsync();
        OperationCanceledException error = await Assert.ThrowsAnyAsync<OperationCanceledException>(() => first);
        Assert.Equal(cancelled.Token, error.CancellationToken);
        Assert.False(second.IsCompleted);
        open.SetResult();
        Assert.Equal("one two three four", (await second).Text);
    }

    [Fact]
    public async Task ErrorsReachTheCaller()
    {
        using DiffusionGemmaChatClient client =
            TestChat.Client(new ScriptedEngine(_ => throw new InvalidOperationException("a logit is not finite")));
        Assert.Equal("a logit is not finite",
            (await Assert.ThrowsAsync<InvalidOperationException>(() => client.GetResponseAsync(Question))).Message);
        Assert.Throws<ArgumentNullException>("messages", () => { client.GetStreamingResponseAsync(null!); });
        await Assert.ThrowsAsync<ArgumentNullException>("messages", () => client.GetResponseAsync(null!));
    }

    [Fact]
    public void ServicesAreFoundByType()
    {
        using DiffusionGemmaChatClient client = TestChat.Saying("");
        IChatClient framework = client;
        Assert.Same(client, framework.GetService<IChatClient>());
        Assert.Same(client, framework.GetService<DiffusionGemmaChatClient>());
        Assert.Same(TestChat.Chat, framework.GetService<ChatTokenizer>());
        Assert.Same(TestChat.Tokenizer, framework.GetService<DiffusionGemmaTokenizer>());
        Assert.Same(TestChat.Chat.Template, framework.GetService<ChatTemplate>());
        ChatClientMetadata metadata = framework.GetRequiredService<ChatClientMetadata>();
        Assert.Equal(("diffusiongemma", TestChat.Model), (metadata.ProviderName, metadata.DefaultModelId));
        Assert.Null(framework.GetService<string>());
        Assert.Null(framework.GetService<DiffusionGemmaModel>());
        Assert.Null(framework.GetService(typeof(IChatClient), "a key"));
        Assert.Throws<ArgumentNullException>(() => client.GetService(null!));
    }

    [Fact]
    public async Task DisposingEndsTheEngineAndTheClient()
    {
        ScriptedEngine engine = new(_ => []);
        DiffusionGemmaChatClient client = TestChat.Client(engine);
        Assert.False(engine.IsDisposed);
        client.Dispose();
        client.Dispose();
        Assert.True(engine.IsDisposed);
        await Assert.ThrowsAsync<ObjectDisposedException>(() => client.GetResponseAsync(Question));
    }
}
