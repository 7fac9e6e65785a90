using System.Collections.Concurrent;
using System.ComponentModel;
using System.Diagnostics;
using Microsoft.Extensions.AI;
using Microsoft.Extensions.Caching.Distributed;
using Microsoft.Extensions.Logging;

namespace DiffusionGemma;

/// <summary>The client below the framework's own decorators.</summary>
public sealed class DecoratorTests
{
    private static readonly ChatMessage[] Question = [new(ChatRole.User, "Rain in Oslo?")];

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task ARealFunctionIsInvokedAndItsResultAnswered(bool streaming)
    {
        List<(string City, int Days)> invoked = [];
        ScriptedEngine engine = new(Weatherman);
        using IChatClient client = TestChat.Client(engine).AsBuilder().UseFunctionInvocation().Build();
        ChatOptions options = new() { Tools = [AIFunctionFactory.Create(Weather, "Weather")] };

        ChatResponse response = streaming
            ? await client.GetStreamingResponseAsync(Question, options).ToChatResponseAsync()
            : await client.GetResponseAsync(Question, options);

        Assert.Equal([("Oslo", 2)], invoked);
        Assert.EndsWith("Take an umbrella: 7 mm.", response.Text, StringComparison.Ordinal);
        Assert.Equal([ChatRole.Assistant, ChatRole.Tool, ChatRole.Assistant], response.Messages.Select(message => message.Role));
        Assert.Equal(2, engine.Requests.Count);
        Assert.Equal(ChatFinishReason.Stop, response.FinishReason);
        string second = TestChat.Text(engine.Requests.Last().Prompt);
        Assert.EndsWith(
            "<|tool_call>call:Weather{city:<|\"|>Oslo<|\"|>,days:2}<tool_call|>"
            + "<|tool_response>response:Weather{city:<|\"|>Oslo<|\"|>,mm:7}<tool_response|>", second, StringComparison.Ordinal);
        Assert.Contains("<|tool>declaration:Weather{description:<|\"|>Rain of the next days.<|\"|>", second, StringComparison.Ordinal);

        [Description("Rain of the next days.")]
        object Weather(string city, int days)
        {
            invoked.Add((city, days));
            return new { city, mm = 7 };
        }
    }

    [Fact]
    public async Task TwoCallsOfOneAnswerAreBothInvoked()
    {
        ConcurrentQueue<int> invoked = [];
        ScriptedEngine engine = new(request => TestChat.Ids(TestChat.Text(request.Prompt).Contains("response:add", StringComparison.Ordinal)
            ? "Done.<turn|>" : "<|tool_call>call:add{n:1}<tool_call|><|tool_call>call:add{n:2}<tool_call|><|tool_response>").Chunk(3));
        using IChatClient client =
            TestChat.Client(engine).AsBuilder().UseFunctionInvocation(configure: c => c.AllowConcurrentInvocation = true).Build();
        ChatResponse response = await client.GetResponseAsync(
            Question, new ChatOptions { Tools = [AIFunctionFactory.Create((int n) => { invoked.Enqueue(n); return n; }, "add")] });
        Assert.Equal([1, 2], invoked.Order());
        Assert.Equal("Done.", response.Text);
        string[] ids = [.. response.Messages.SelectMany(m => m.Contents).OfType<FunctionCallContent>().Select(call => call.CallId)];
        Assert.Equal(2, ids.Distinct().Count());
    }

    [Fact]
    public async Task ARequiredCallDoesNotLoop()
    {
        ScriptedEngine engine = new(Weatherman);
        using IChatClient client = TestChat.Client(engine).AsBuilder().UseFunctionInvocation().Build();
        ChatOptions options = new()
        {
            Tools = [AIFunctionFactory.Create((string city, int days) => "7", "Weather")],
            ToolMode = ChatToolMode.RequireSpecific("Weather")
        };
        ChatResponse response = await client.GetResponseAsync(Question, options);
        Assert.Equal([true, false], engine.Requests.Select(request => request.Pinned is not null));
        Assert.EndsWith("Take an umbrella: 7 mm.", response.Text, StringComparison.Ordinal);
    }

    [Fact]
    public async Task AMalformedCallIsAnAnswerWithAnError()
    {
        using IChatClient client =
            TestChat.Saying("<|tool_call>call:Weather{city<tool_call|><|tool_response>").AsBuilder().UseFunctionInvocation().Build();
        ChatResponse response = await client.GetResponseAsync(
            Question, new ChatOptions { Tools = [AIFunctionFactory.Create((string city) => "7", "Weather")] });
        Assert.Single(Assert.Single(response.Messages).Contents.OfType<ErrorContent>());
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task ACachedAnswerIsNotAskedForAgain(bool streaming)
    {
        const string Answer =
            "<|channel>thought\nHm.\n<channel|>It rains 🌧. <|tool_call>call:f{a:<|\"|>b<|\"|>}<tool_call|><|tool_response>";
        ScriptedEngine engine = new(_ => TestChat.Ids(Answer).Chunk(3));
        using IChatClient client = TestChat.Client(engine, streamsDrafts: true).AsBuilder().UseDistributedCache(new MemoryCache()).Build();
        ChatResponse first = await Ask(), second = await Ask();
        Assert.Single(engine.Requests);
        Assert.Equal("thought: Hm.\ntext: It rains 🌧. \ncall: f {\"a\":\"b\"}", TestChat.Describe(first.Messages[0].Contents));
        Assert.Equal(TestChat.Describe(first.Messages[0].Contents), TestChat.Describe(second.Messages[0].Contents));
        Assert.Equal(first.Usage!.OutputTokenCount, second.Usage!.OutputTokenCount);
        Assert.Equal((first.ResponseId, first.FinishReason), (second.ResponseId, second.FinishReason));
        await client.GetResponseAsync(Question, new ChatOptions { Seed = 1 });
        Assert.Equal(2, engine.Requests.Count);

        async Task<ChatResponse> Ask() =>
            streaming ? await client.GetStreamingResponseAsync(Question).ToChatResponseAsync() : await client.GetResponseAsync(Question);
    }

    [Fact]
    public async Task LoggingAndTelemetrySeeWhatWasAsked()
    {
        using LogList log = new();
        ConcurrentQueue<Activity> activities = [];
        string source = $"test-{Guid.NewGuid():N}";
        using ActivityListener listener = new()
        {
            ShouldListenTo = s => s.Name == source,
            Sample = (ref ActivityCreationOptions<ActivityContext> _) => ActivitySamplingResult.AllData,
            ActivityStopped = activities.Enqueue,
        };
        ActivitySource.AddActivityListener(listener);
        using IChatClient client = TestChat.Saying("It rains.<turn|>").AsBuilder()
            .UseLogging(log).UseOpenTelemetry(sourceName: source).ConfigureOptions(o => o.Temperature = 0.5f).Build();
        ChatResponse response = await client.GetResponseAsync(Question);
        Assert.Equal("It rains.", response.Text);
        Assert.Contains(log.Lines, line => line.Contains("It rains.", StringComparison.Ordinal));
        Activity activity = Assert.Single(activities);
        Assert.Equal("diffusiongemma", activity.GetTagItem("gen_ai.provider.name"));
        Assert.Equal(TestChat.Model, activity.GetTagItem("gen_ai.request.model"));
        Assert.Equal(response.Usage!.OutputTokenCount,
            Convert.ToInt64(activity.GetTagItem("gen_ai.usage.output_tokens"), System.Globalization.CultureInfo.InvariantCulture));
    }

    [Fact]
    public async Task ATypedAnswerIsRead()
    {
        ScriptedEngine engine = new(_ => TestChat.Ids("{\"City\": \"Oslo\", \"Millimetres\": 7}<turn|>").Chunk(5));
        using DiffusionGemmaChatClient client = TestChat.Client(engine);
        ChatResponse<Forecast> response = await client.GetResponseAsync<Forecast>(Question);
        Assert.Equal(new Forecast("Oslo", 7), response.Result);
        Assert.Contains("Millimetres", TestChat.Text(engine.Requests.Single().Prompt), StringComparison.OrdinalIgnoreCase);
    }

    private sealed record Forecast(string City, int Millimetres);

    /// <summary>Calls the tool, and answers once it has the result.</summary>
    private static IEnumerable<int[]> Weatherman(GenerationRequest request) =>
        TestChat.Ids(TestChat.Text(request.Prompt).Contains("response:Weather", StringComparison.Ordinal)
            ? "Take an umbrella: 7 mm.<turn|>"
            : "<|channel>thought\nI must ask.\n<channel|>A moment. "
                + "<|tool_call>call:Weather{city:<|\"|>Oslo<|\"|>,days:2}<tool_call|><|tool_response>").Chunk(3);

    private sealed class MemoryCache : IDistributedCache
    {
        private readonly ConcurrentDictionary<string, byte[]> _entries = [];

        public byte[]? Get(string key) => _entries.GetValueOrDefault(key);

        public Task<byte[]?> GetAsync(string key, CancellationToken token = default) => Task.FromResult(Get(key));

        public void Refresh(string key)
        {
        }

        public Task RefreshAsync(string key, CancellationToken token = default) => Task.CompletedTask;

        public void Remove(string key) => _entries.TryRemove(key, out _);

        public Task RemoveAsync(string key, CancellationToken token = default)
        {
            Remove(key);
            return Task.CompletedTask;
        }

        public void Set(string key, byte[] value, DistributedCacheEntryOptions options) => _entries[key] = value;

        public Task SetAsync(string key, byte[] value, DistributedCacheEntryOptions options, CancellationToken token = default)
        {
            Set(key, value, options);
            return Task.CompletedTask;
        }
    }

    private sealed class LogList : ILoggerFactory, ILogger
    {
        public ConcurrentQueue<string> Lines { get; } = [];

        public void AddProvider(ILoggerProvider provider)
        {
        }

        public ILogger CreateLogger(string categoryName) => this;

        public IDisposable? BeginScope<TState>(TState state)
            where TState : notnull => null;

        public bool IsEnabled(LogLevel logLevel) => true;

        public void Log<TState>(
            LogLevel logLevel, EventId eventId, TState state, Exception? exception, Func<TState, Exception?, string> formatter) =>
            Lines.Enqueue(formatter(state, exception));

        public void Dispose()
        {
        }
    }
}
