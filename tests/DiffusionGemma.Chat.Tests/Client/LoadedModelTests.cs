using Microsoft.Extensions.AI;
using static TorchSharp.torch;

namespace DiffusionGemma;

/// <summary>
/// The client over the real engine: tiny-chat in float64, where an answer does not depend on its neighbours to the last bit.
/// </summary>
public sealed class LoadedModelTests : IDisposable
{
    private static readonly string Folder = Fixtures.Checkpoint("tiny-chat");
    private readonly DiffusionGemmaModel _model;
    private readonly DiffusionGemmaChatClient _client;

    public LoadedModelTests()
    {
        set_num_threads(1);
        _model = DiffusionGemmaModel.Load(Folder, CPU, ScalarType.Float64);
        _client = _model.AsIChatClient(batchSize: 4);
    }

    public void Dispose()
    {
        _client.Dispose();
        _model.Dispose();
    }

    [Fact]
    public async Task AnAnswerIsTheEnginesOwn()
    {
        ChatResponse response = await _client.GetResponseAsync("What is 2 plus 3?", new ChatOptions { Seed = 3 });
        ChatTokenizer chat = ChatTokenizer.Load(Folder);
        int[] prompt = chat.EncodePrompt(ChatConversation.Of(("user", "What is 2 plus 3?")));
        GenerationResult expected = Assert.Single(CanvasGenerator.Generate(_model, [prompt], new GenerationOptions { Seed = 3 }));
        Assert.Equal(chat.Tokenizer.Decode(expected.Ids, skipSpecialTokens: true), response.Text);
        Assert.NotEmpty(response.Text);
        Assert.Equal((prompt.Length, expected.Ids.Length), (response.Usage!.InputTokenCount, response.Usage.OutputTokenCount));
        Assert.Equal(expected.Steps, response.Usage.AdditionalCounts![DiffusionGemmaChatClient.StepCount]);
        Assert.Equal(("tiny-chat", ChatFinishReason.Stop), (response.ModelId, response.FinishReason));
    }

    /// <summary>With a token that is cancelled already, and with one that is cancelled after each of the first drafts.</summary>
    [Fact]
    public async Task EveryCallCanBeCancelled()
    {
        ChatMessage[] question = [new(ChatRole.User, "What is 2 plus 3?")];
        // Denoising runs ahead of who reads the stream, so that the answer is one without an end.
        var endless = new GenerationOptions { MaxDenoisingSteps = 1_000_000, ConfidenceThreshold = -1 };
        var options = new ChatOptions { RawRepresentationFactory = _ => endless };
        var cancelled = new CancellationToken(canceled: true);
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => _client.GetResponseAsync(question, options, cancelled));
        await Assert.ThrowsAnyAsync<OperationCanceledException>(
            () => ReadAsync(_client.GetStreamingResponseAsync(question, options, cancelled), () => Assert.Fail("It went on.")));
        for (int at = 0; at < 4; at++)
        {
            int drafts = 0;
            using var cancel = new CancellationTokenSource();
            if (at == 0) await cancel.CancelAsync();
            var error = await Assert.ThrowsAnyAsync<OperationCanceledException>(
                () => ReadAsync(_client.GetStreamingResponseAsync(question, options, streamsDrafts: true, cancel.Token), () =>
                {
                    if (++drafts == at) cancel.Cancel();
                }));
            Assert.Equal(cancel.Token, error.CancellationToken);
            Assert.True(drafts >= at);
        }
        using var later = new CancellationTokenSource();
        Task<ChatResponse> running = _client.GetResponseAsync(question, options, later.Token);
        await later.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => running);
        Assert.NotEmpty((await _client.GetResponseAsync(question)).Text);

        static async Task ReadAsync(IAsyncEnumerable<ChatResponseUpdate> updates, Action read)
        {
            await foreach (ChatResponseUpdate _ in updates) read();
        }
    }

    [Fact]
    public void AChatTemplateOfOnesOwnTakesThePlaceOfTheCheckpoints()
    {
        using TemporaryFolder folder = Fixtures.Temporary();
        string file = folder.File("own.jinja");
        File.WriteAllText(file, "{{ bos_token }}own");
        using DiffusionGemmaChatClient client = _model.AsIChatClient(chatTemplate: file);
        Assert.Equal("{{ bos_token }}own", ((ChatTemplate)client.GetService(typeof(ChatTemplate))!).Source);
        string missing = folder.File("missing.jinja");
        Assert.Contains(missing, Assert.Throws<FileNotFoundException>(() => _model.AsIChatClient(chatTemplate: missing)).Message);
        Assert.Contains(missing, Assert.Throws<FileNotFoundException>(
            () => DiffusionGemmaChatClient.Load(Folder, chatTemplate: missing)).Message);
    }

    [Fact]
    public async Task AnAnswerUnderASchemaIsAnInstanceOfIt()
    {
        foreach (long seed in (long[])[1, 2, 3])
        {
            ChatResponse<Sum> response = await _client.GetResponseAsync<Sum>(
                "What is 2 plus 3?", new ChatOptions { Seed = seed, MaxOutputTokens = 96 });
            Assert.True(response.TryGetResult(out Sum? sum), response.Text);
            Assert.InRange(sum!.Total, int.MinValue, int.MaxValue);
            Assert.Equal(ChatFinishReason.Stop, response.FinishReason);
        }
        ChatResponse words = await _client.GetResponseAsync(
            "What is 2 plus 3?", new ChatOptions { ResponseFormat = ChatResponseFormat.ForJsonSchema<string[]>(), MaxOutputTokens = 64 });
        Assert.NotNull(System.Text.Json.JsonSerializer.Deserialize<string[]>(words.Text));

        using System.Text.Json.JsonDocument unread = System.Text.Json.JsonDocument.Parse("""{"type":"object","minProperties":2}""");
        var refused = new ChatOptions { ResponseFormat = ChatResponseFormat.ForJsonSchema(unread.RootElement) };
        Assert.Contains("#/minProperties", (await Assert.ThrowsAsync<NotSupportedException>(
            () => _client.GetResponseAsync("?", refused))).Message, StringComparison.Ordinal);
        var small = new ChatOptions { ResponseFormat = ChatResponseFormat.ForJsonSchema<Sum>(), MaxOutputTokens = 3 };
        Assert.Contains("MaxNewTokens is 3", (await Assert.ThrowsAnyAsync<ArgumentException>(
            () => _client.GetResponseAsync("?", small))).Message, StringComparison.Ordinal);
    }

    /// <summary>
    /// Twelve callers in a batch of four, and one that gives up inside its canvas: each has the answer that it has alone.
    /// </summary>
    [Fact]
    public async Task ManyCallersShareABatchAndOneThatIsCancelledHarmsNone()
    {
        string[] questions = [.. Enumerable.Range(1, 12).Select(n => $"What is {n} plus {2 * n}?")];
        List<string> alone = [];
        foreach (string question in questions) alone.Add((await _client.GetResponseAsync(question)).Text);
        Assert.True(alone.Distinct().Count() > 3);

        using CancellationTokenSource cancellation = new();
        using DiffusionGemmaChatClient drafts =
            new(_client.GetRequiredService<GenerationQueue>(), _client.GetRequiredService<ChatTokenizer>()) { StreamsDrafts = true };
        Task<OperationCanceledException> cancelled = Assert.ThrowsAnyAsync<OperationCanceledException>(async () =>
        {
            ChatOptions endless = new()
            {
                RawRepresentationFactory = _ =>
                new GenerationOptions { MaxDenoisingSteps = 100_000, ConfidenceThreshold = -1, ReturnOnCancellation = true }
            };
            int seen = 0;
            await foreach (ChatResponseUpdate update in drafts.GetStreamingResponseAsync("What is 9 plus 9?", endless, cancellation.Token))
            {
                Assert.Empty(update.Contents);
                if (update.RawRepresentation is DraftUpdate { Canvas: 0 } && ++seen == 3) await cancellation.CancelAsync();
            }
        });
        string[] together = await Task.WhenAll(questions.Select(async question => (await _client.GetResponseAsync(question)).Text));
        Assert.Equal(cancellation.Token, (await cancelled).CancellationToken);
        Assert.Equal(alone, together);
    }

    [Fact]
    public async Task AStreamIsItsResponse()
    {
        ChatMessage[] messages = [new(ChatRole.User, "日本語で答えて 🌞: what is 3 plus 4?")];
        ChatOptions options = new() { MaxOutputTokens = 70, Temperature = 1.5f, Seed = 8 };
        string streamed = "";
        await foreach (ChatResponseUpdate update in _client.GetStreamingResponseAsync(messages, options)) streamed += update.Text;
        Assert.Equal(streamed, (await _client.GetResponseAsync(messages, options)).Text);
    }

    /// <summary>
    /// tiny-chat knows no tools, so what follows the call's beginning is its babble: a call or an error, and never text with a marker.
    /// </summary>
    [Fact]
    public async Task ARequiredCallIsBegun()
    {
        ChatOptions options = new() { Tools = [AIFunctionFactory.Create((int a) => a, "f")], ToolMode = ChatToolMode.RequireSpecific("f") };
        AIContent first = (await _client.GetResponseAsync("What is 2 plus 3?", options)).Messages[0].Contents[0];
        Assert.StartsWith("call:f{", first is ErrorContent error
            ? error.Details : $"call:{((FunctionCallContent)first).Name}{{", StringComparison.Ordinal);
    }

    [Fact]
    public async Task WhatTheEngineRefusesIsNamed()
    {
        Assert.Contains("MaxNewTokens",
            (await Assert.ThrowsAsync<GenerationRequestException>(
            () => _client.GetResponseAsync(string.Concat(Enumerable.Repeat("long ", 3000))))).Message, StringComparison.Ordinal);
        Assert.Contains("TopP",
            (await Assert.ThrowsAnyAsync<ArgumentException>(() => _client.GetResponseAsync("x", new ChatOptions { TopP = 7 }))).Message,
            StringComparison.Ordinal);
        Assert.Equal("tiny-chat", (await _client.GetResponseAsync("What is 2 plus 3?")).ModelId);
    }

    [Fact]
    public async Task AClientThatLoadsOwnsItsModel()
    {
        DiffusionGemmaChatClient client = DiffusionGemmaChatClient.Load(Folder, CPU, options: new GenerationOptions { MaxNewTokens = 8 });
        DiffusionGemmaModel model = client.GetRequiredService<DiffusionGemmaModel>();
        Assert.Equal(ScalarType.Float32, model.DType);
        Assert.Equal(ChatFinishReason.Length,
            (await client.GetResponseAsync("What is 20 plus 31?", new ChatOptions { MaxOutputTokens = 3 })).FinishReason);
        client.Dispose();
        client.Dispose();
        await Assert.ThrowsAsync<ObjectDisposedException>(() => client.GetResponseAsync("x"));
        Assert.ThrowsAny<Exception>(() => model.Logits(zeros(1, model.Config.HiddenSize)));
        Assert.Same(_model, _client.GetService<DiffusionGemmaModel>());
    }

    [Fact]
    public void AFolderWithoutATemplateIsNamed()
    {
        using TemporaryFolder folder = Fixtures.Temporary();
        File.Copy(Path.Combine(Folder, "tokenizer.json"), folder.File("tokenizer.json"));
        Assert.Contains("chat template",
            Assert.Throws<FileNotFoundException>(() => DiffusionGemmaChatClient.Load(folder.Path, CPU)).Message, StringComparison.Ordinal);
    }

    private sealed record Sum(int Total, bool IsOdd);
}
