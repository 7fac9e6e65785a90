using System.ComponentModel;
using Microsoft.Extensions.AI;
using TorchSharp;

namespace DiffusionGemma;

public class DiffusionGemmaChatClientTests
{
    private static readonly ChatTokenizer Tokenizer = ChatTokenizer.Load(Fixtures.Checkpoint("tiny-chat"));

    // In the manner of Gemma: tools, calls and results as it writes them.
    private static readonly ChatTokenizer WithTools = new(
        Tokenizer.Tokenizer,
        ChatTemplate.Parse(File.ReadAllText(Path.Combine(Fixtures.Root, "tests", "DiffusionGemma.Text.Tests", "goldens", "templates", "turns_with_tools.jinja"))));

    [Fact]
    public async Task A_stream_appends_committed_text_and_ends_with_reason_and_usage()
    {
        using var engine = new ScriptedEngine(Tokenizer.Tokenizer, 4, "Natalia sold 48 clips 🙂 日本.");
        using var client = new DiffusionGemmaChatClient(engine, Tokenizer, "tiny");
        List<ChatResponseUpdate> updates = await All(client.GetStreamingResponseAsync("How many?"));
        Assert.Equal("Natalia sold 48 clips 🙂 日本.", string.Concat(updates.Select(u => u.Text)));
        Assert.True(updates.Count > 3);
        Assert.Single(updates.Select(u => (u.ResponseId, u.MessageId, u.ModelId, u.Role)).Distinct());
        Assert.Equal(("tiny", ChatRole.Assistant, ChatFinishReason.Stop), (updates[0].ModelId, updates[0].Role, updates[^1].FinishReason));
        UsageDetails usage = Assert.Single(updates.SelectMany(u => u.Contents).OfType<UsageContent>()).Details;
        Assert.Equal(engine.Requests[0].Prompt.Length, usage.InputTokenCount);
        Assert.Equal(Tokenizer.Tokenizer.EncodeToIds("Natalia sold 48 clips 🙂 日本.").Count, usage.OutputTokenCount);
        Assert.Equal(usage.InputTokenCount + usage.OutputTokenCount, usage.TotalTokenCount);
        Assert.DoesNotContain(updates, u => u.RawRepresentation is DraftUpdate);
    }

    [Fact]
    public async Task A_response_is_its_stream_put_together()
    {
        using var engine = new ScriptedEngine(Tokenizer.Tokenizer, 3, "Natalia sold 48 clips.");
        using var client = new DiffusionGemmaChatClient(engine, Tokenizer, "tiny");
        ChatResponse response = await client.GetResponseAsync("How many?");
        Assert.Equal("Natalia sold 48 clips.", response.Text);
        Assert.Equal((ChatFinishReason.Stop, "tiny"), (response.FinishReason, response.ModelId));
        Assert.NotNull(response.Usage?.TotalTokenCount);
        Assert.Equal("<bos><|turn>user\nHow many?<turn|>\n<|turn>model\n", engine.Prompt(0));
    }

    [Fact]
    public async Task History_and_instructions_reach_the_template()
    {
        using var engine = new ScriptedEngine(Tokenizer.Tokenizer, 8, "Yes.");
        using var client = new DiffusionGemmaChatClient(engine, Tokenizer, null);
        await client.GetResponseAsync(
            [new(ChatRole.User, "One?"), new(ChatRole.Assistant, "Two."), new(ChatRole.User, [new TextContent("Thr"), new TextContent("ee?")])],
            new ChatOptions { Instructions = "Be brief." });
        Assert.Equal("<bos><|turn>system\nBe brief.<turn|>\n<|turn>user\nOne?<turn|>\n<|turn>model\nTwo.<turn|>\n<|turn>user\nThree?<turn|>\n<|turn>model\n", engine.Prompt(0));
        await client.GetResponseAsync("JSON?", new ChatOptions { ResponseFormat = ChatResponseFormat.ForJsonSchema<int[]>() });
        Assert.Contains("Answer with JSON alone, of this schema: {", engine.Prompt(1), StringComparison.Ordinal);
    }

    [Fact]
    public async Task Options_become_the_engines()
    {
        using var engine = new ScriptedEngine(Tokenizer.Tokenizer, 8, "Yes.");
        using var client = new DiffusionGemmaChatClient(engine, Tokenizer, "tiny");
        await client.GetResponseAsync("Q", new ChatOptions
        {
            MaxOutputTokens = 7, Temperature = 0.5f, TopK = 3, TopP = 0.25f, Seed = 9, ModelId = "tiny",
            RawRepresentationFactory = _ => new GenerationOptions { MaxDenoisingSteps = 5, Seed = 1 },
        });
        GenerationOptions got = engine.Requests[0].Options!;
        Assert.Equal((7, 0.5, 0.5, 3, 0.25, 9L, 5), (got.MaxNewTokens, got.TMin, got.TMax, got.TopK, got.TopP, got.Seed, got.MaxDenoisingSteps));
    }

    public static TheoryData<string, ChatOptions> Refused() => new()
    {
        { "FrequencyPenalty", new() { FrequencyPenalty = 1 } }, { "PresencePenalty", new() { PresencePenalty = 1 } }, { "ConversationId", new() { ConversationId = "x" } },
        { "ModelId", new() { ModelId = "other" } }, { "ToolMode", new() { ToolMode = ChatToolMode.RequireAny } }, { "Tools", new() { Tools = [new HostedWebSearchTool()] } },
    };

    [Theory]
    [MemberData(nameof(Refused))]
    public async Task An_option_that_cannot_be_honoured_is_named(string name, ChatOptions options)
    {
        using var engine = new ScriptedEngine(Tokenizer.Tokenizer, 8, "Yes.");
        using var client = new DiffusionGemmaChatClient(engine, Tokenizer, "tiny");
        Assert.Contains($"ChatOptions.{name}", (await Assert.ThrowsAsync<NotSupportedException>(() => client.GetResponseAsync("Q", options))).Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Images_and_unanswerable_conversations_are_refused()
    {
        using var engine = new ScriptedEngine(Tokenizer.Tokenizer, 8, "Yes.");
        using var client = new DiffusionGemmaChatClient(engine, Tokenizer, "tiny");
        ChatMessage image = new(ChatRole.User, [new TextContent("What is this?"), new DataContent(new byte[] { 1 }, "image/png")]);
        Assert.Contains("text only", (await Assert.ThrowsAsync<NotSupportedException>(() => client.GetResponseAsync([image]))).Message, StringComparison.Ordinal);
        await Assert.ThrowsAsync<ArgumentException>(() => client.GetResponseAsync([new(ChatRole.User, "a"), new(ChatRole.Assistant, "b")]));
        await Assert.ThrowsAsync<ArgumentException>(() => client.GetResponseAsync([]));
        Assert.Empty(engine.Requests);
    }

    [Theory]
    [InlineData(1)]
    [InlineData(5)]
    [InlineData(100)]
    public async Task Stop_sequences_end_the_text_wherever_canvases_are_cut(int canvasLength)
    {
        using var engine = new ScriptedEngine(Tokenizer.Tokenizer, canvasLength, "one two STOP three four five six seven eight");
        using var client = new DiffusionGemmaChatClient(engine, Tokenizer, null);
        ChatResponse response = await client.GetResponseAsync("Q", new ChatOptions { StopSequences = ["STOP", "never"] });
        Assert.Equal(("one two ", ChatFinishReason.Stop), (response.Text, response.FinishReason));
        Assert.True(canvasLength > 1 || engine.CanvasesTold < Tokenizer.Tokenizer.EncodeToIds("one two STOP three four five six seven eight").Count / canvasLength);
        Assert.EndsWith("eight", (await client.GetResponseAsync("Q", new ChatOptions { StopSequences = ["eightx"] })).Text, StringComparison.Ordinal);
    }

    [Fact]
    public async Task An_answer_that_was_cut_says_so()
    {
        using var engine = new ScriptedEngine(Tokenizer.Tokenizer, 8, "and so on") { Finish = FinishReason.Length };
        using var client = new DiffusionGemmaChatClient(engine, Tokenizer, null);
        Assert.Equal(ChatFinishReason.Length, (await client.GetResponseAsync("Q")).FinishReason);
    }

    /// <summary>The framework's own loop: the call that the model writes runs a C# function, whose result goes back to the model.</summary>
    [Theory]
    [InlineData(2)]
    [InlineData(1000)]
    public async Task The_frameworks_function_invocation_runs_a_function_of_ours(int canvasLength)
    {
        var asked = new List<string>();
        [Description("The weather of a city.")]
        string Weather([Description("Which city.")] string city, int days)
        {
            asked.Add($"{city} {days}");
            return $"{city}: rain for {days} days";
        }
        using var engine = new ScriptedEngine(
            Tokenizer.Tokenizer, canvasLength, "<|channel>thought\nI must look.<channel|><|tool_call>call:Weather{city:<|\"|>Oslo<|\"|>,days:3}<tool_call|><|tool_response>", "It rains in Oslo.");
        using IChatClient client = new DiffusionGemmaChatClient(engine, WithTools, "tiny").AsBuilder().UseFunctionInvocation().Build();
        ChatResponse response = await client.GetResponseAsync("Weather in Oslo?", new ChatOptions { Tools = [AIFunctionFactory.Create(Weather, "Weather")] });
        Assert.Equal(["Oslo 3"], asked);
        Assert.Equal("It rains in Oslo.", response.Messages[^1].Text);
        Assert.Equal("I must look.", Assert.Single(response.Messages[0].Contents.OfType<TextReasoningContent>()).Text);
        Assert.Contains("declaration:Weather{", engine.Prompt(0), StringComparison.Ordinal);
        Assert.Contains("Oslo: rain for 3 days", engine.Prompt(1), StringComparison.Ordinal);
        Assert.Contains("call:Weather{city:<|\"|>Oslo<|\"|>,days:3}", engine.Prompt(1), StringComparison.Ordinal);
        Assert.Equal(2, engine.Requests.Count);
    }

    [Fact]
    public async Task Calls_end_a_response_with_their_reason_and_one_is_enough_where_one_is_allowed()
    {
        const string Two = "<|tool_call>call:f{a:1}<tool_call|><|tool_call>call:f{a:2}<tool_call|>";
        using var engine = new ScriptedEngine(Tokenizer.Tokenizer, 3, Two);
        using var client = new DiffusionGemmaChatClient(engine, WithTools, null);
        AITool[] tools = [AIFunctionFactory.Create((int a) => a, "f")];
        ChatResponse both = await client.GetResponseAsync("Q", new ChatOptions { Tools = tools });
        FunctionCallContent[] calls = [.. both.Messages[0].Contents.OfType<FunctionCallContent>()];
        Assert.Equal((2, 2, ChatFinishReason.ToolCalls, ""), (calls.Length, calls.Select(c => c.CallId).Distinct().Count(), both.FinishReason, both.Text));
        Assert.Single((await client.GetResponseAsync("Q", new ChatOptions { Tools = tools, AllowMultipleToolCalls = false })).Messages[0].Contents.OfType<FunctionCallContent>());
    }

    [Fact]
    public async Task Decorators_stack()
    {
        using var engine = new ScriptedEngine(Tokenizer.Tokenizer, 3, "Yes.");
        int seen = 0;
        using IChatClient client = new DiffusionGemmaChatClient(engine, Tokenizer, "tiny").AsBuilder()
            .ConfigureOptions(o => o.MaxOutputTokens = 5)
            .Use(async (messages, options, next, cancellation) =>
            {
                seen++;
                await next(messages, options, cancellation);
            })
            .UseOpenTelemetry().UseLogging(Microsoft.Extensions.Logging.Abstractions.NullLoggerFactory.Instance).Build();
        Assert.Equal("Yes.", (await client.GetResponseAsync("Q")).Text);
        Assert.Equal("Yes.", string.Concat((await All(client.GetStreamingResponseAsync("Q"))).Select(u => u.Text)));
        Assert.Equal((2, 5), (seen, engine.Requests[0].Options!.MaxNewTokens));
        Assert.Equal("diffusiongemma", client.GetService<ChatClientMetadata>()!.ProviderName);
        Assert.Equal("tiny", client.GetService<ChatClientMetadata>()!.DefaultModelId);
        Assert.Same(Tokenizer, client.GetService<ChatTokenizer>());
        Assert.NotNull(client.GetService<DiffusionGemmaChatClient>());
        Assert.Null(client.GetService<string>());
        Assert.Null(client.GetService(typeof(ChatTokenizer), "key"));
    }

    [Fact]
    public async Task The_real_engine_answers_many_callers_at_once_and_cancels_one_alone()
    {
        torch.set_num_threads(1);
        using var client = DiffusionGemmaChatClient.Load(Fixtures.Checkpoint("tiny-chat"), torch.CPU, options: new() { MaxDenoisingSteps = 8 }, streamsDrafts: true);
        string[] questions = [.. Enumerable.Range(1, 6).Select(i => $"What is {i} plus {i + 2}?")];
        var alone = new List<string>();
        foreach (string question in questions) alone.Add((await client.GetResponseAsync(question)).Text);
        using var cancellation = new CancellationTokenSource();
        Task cancelled = Assert.ThrowsAnyAsync<OperationCanceledException>(async () =>
        {
            var endless = new ChatOptions { RawRepresentationFactory = _ => new GenerationOptions { MaxDenoisingSteps = 100_000, ConfidenceThreshold = -1 } };
            int drafts = 0;
            await foreach (ChatResponseUpdate update in client.GetStreamingResponseAsync("What is 9 plus 9?", endless, cancellation.Token))
                if (update.RawRepresentation is DraftUpdate && ++drafts == 3) await cancellation.CancelAsync();
        });
        string[] together = await Task.WhenAll(questions.Select(async q => (await client.GetResponseAsync(q)).Text));
        await cancelled;
        Assert.Equal(alone, together);
        Assert.All(together, text => Assert.DoesNotContain("<", text, StringComparison.Ordinal));
    }

    [Fact]
    public async Task A_disposed_client_says_so()
    {
        var engine = new ScriptedEngine(Tokenizer.Tokenizer, 3, "Yes.");
        var client = new DiffusionGemmaChatClient(engine, Tokenizer, null);
        client.Dispose();
        client.Dispose();
        Assert.True(engine.IsDisposed);
        await Assert.ThrowsAsync<ObjectDisposedException>(() => client.GetResponseAsync("Q"));
    }

    private static async Task<List<ChatResponseUpdate>> All(IAsyncEnumerable<ChatResponseUpdate> updates)
    {
        var all = new List<ChatResponseUpdate>();
        await foreach (ChatResponseUpdate update in updates) all.Add(update);
        return all;
    }
}
