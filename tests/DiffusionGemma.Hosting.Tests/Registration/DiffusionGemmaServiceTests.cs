using Microsoft.Extensions.AI;
using Microsoft.Extensions.Configuration;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Diagnostics.HealthChecks;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;

namespace DiffusionGemma;

/// <summary>A model that is registered in a host: loaded in the background, resolved, checked, and freed with the host.</summary>
[Collection("one by one")]
public class DiffusionGemmaServiceTests
{
    private static readonly string Folder = Fixtures.Checkpoint("tiny-chat");

    [Fact]
    public async Task A_registered_model_answers_and_its_middleware_works()
    {
        HostApplicationBuilder builder = Host.CreateEmptyApplicationBuilder(null);
        int calls = 0;
        builder.Services.AddDiffusionGemma(Folder, options => options.Device = "cpu").Use(async (messages, options, next, cancellation) =>
        {
            calls++;
            await next(messages, options, cancellation);
        });
        builder.Services.AddHealthChecks().AddDiffusionGemma();
        DiffusionGemmaService service;
        using (IHost host = builder.Build())
        {
            service = host.Services.GetRequiredService<DiffusionGemmaService>();
            HealthCheckService health = host.Services.GetRequiredService<HealthCheckService>();
            Assert.Equal(HealthStatus.Degraded, (await health.CheckHealthAsync()).Status);

            await host.StartAsync();
            DiffusionGemmaChatClient loaded = await service.GetClientAsync();
            IChatClient client = host.Services.GetRequiredService<IChatClient>();
            ChatResponse response = await client.GetResponseAsync("What is 2 plus 3?", new ChatOptions { Seed = 1 });
            Assert.NotEmpty(response.Text);
            Assert.Equal(1, calls);
            Assert.Same(loaded, client.GetService<DiffusionGemmaChatClient>());
            Assert.Same(service, client.GetService<DiffusionGemmaService>());

            HealthReportEntry entry = (await health.CheckHealthAsync()).Entries["diffusiongemma"];
            Assert.Equal(HealthStatus.Healthy, entry.Status);
            Assert.Equal(
                [Folder, "cpu", 0, 0],
                new[] { "checkpoint", "device", "waiting", "running" }.Select(name => entry.Data[name]));
            Assert.InRange((double)entry.Data["secondsSinceLastPass"], 0, double.MaxValue);
            await host.StopAsync();
        }
        await Assert.ThrowsAsync<ObjectDisposedException>(() => service.GetClientAsync());
    }

    [Fact]
    public async Task Who_waits_may_be_cancelled_and_loading_goes_on()
    {
        using var release = new ManualResetEventSlim();
        var services = new ServiceCollection();
        services.AddLogging();
        services.AddDiffusionGemmaClient("mine", _ =>
        {
            release.Wait();
            return DiffusionGemmaChatClient.Load(Folder);
        });
        await using ServiceProvider provider = services.BuildServiceProvider();
        DiffusionGemmaService service = provider.GetRequiredService<DiffusionGemmaService>();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => service.GetClientAsync(new CancellationToken(canceled: true)));
        using var cancel = new CancellationTokenSource();
        Task<DiffusionGemmaChatClient> waiting = service.GetClientAsync(cancel.Token);
        await cancel.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => waiting);
        Assert.True(service.IsLoading);
        release.Set();
        Assert.NotNull(await service.GetClientAsync());
    }

    /// <summary>Once or twice, at once or later, the client or the service first: a use afterwards says so.</summary>
    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(3)]
    public async Task Disposal_in_every_order(int order)
    {
        var services = new ServiceCollection();
        services.AddLogging();
        services.AddDiffusionGemma(Folder, options => options.Device = "cpu");
        await using ServiceProvider provider = services.BuildServiceProvider();
        DiffusionGemmaService service = provider.GetRequiredService<DiffusionGemmaService>();
        DiffusionGemmaChatClient? client = order == 0 ? null : await service.GetClientAsync();
        if (order == 2) client!.Dispose();
        if (order == 3) await service.DisposeAsync();
        service.Dispose();
        service.Dispose();
        await service.DisposeAsync();
        client?.Dispose();
        await Assert.ThrowsAsync<ObjectDisposedException>(() => service.GetClientAsync());
        if (client is not null) await Assert.ThrowsAsync<ObjectDisposedException>(() => client.GetResponseAsync("What is 2 plus 3?"));
        Assert.Equal("tiny-chat", Path.GetFileName(service.Checkpoint));
    }

    [Fact]
    public async Task A_model_that_the_application_loads_is_registered_and_freed_too()
    {
        HostApplicationBuilder builder = Host.CreateEmptyApplicationBuilder(null);
        int loads = 0;
        builder.Services.AddDiffusionGemmaClient("mine", _ =>
        {
            loads++;
            return DiffusionGemmaChatClient.Load(Folder, TorchSharp.torch.CPU, batchSize: 1);
        });
        DiffusionGemmaChatClient loaded;
        using (IHost host = builder.Build())
        {
            await host.StartAsync();
            DiffusionGemmaService service = host.Services.GetRequiredService<DiffusionGemmaService>();
            loaded = await service.GetClientAsync();
            IChatClient client = host.Services.GetRequiredService<IChatClient>();
            Assert.NotEmpty((await client.GetResponseAsync("What is 2 plus 3?", new ChatOptions { Seed = 1 })).Text);
            Assert.Equal(("mine", 1), (service.Checkpoint, loads));
            await host.StopAsync();
        }
        await Assert.ThrowsAsync<ObjectDisposedException>(() => loaded.GetResponseAsync("What is 2 plus 3?"));
    }

    [Fact]
    public async Task Models_under_keys_stand_beside_each_other()
    {
        var services = new ServiceCollection();
        services.AddLogging();
        services.AddKeyedDiffusionGemma("a", Folder, options => (options.Device, options.BatchSize) = ("cpu", 1));
        services.AddKeyedDiffusionGemma("b", Folder, options => options.Device = "cpu");
        services.AddHealthChecks().AddDiffusionGemma("a", "a", ["ready"]).AddDiffusionGemma("b", "b");
        await using ServiceProvider provider = services.BuildServiceProvider();
        Assert.Null(provider.GetService<IChatClient>());
        IChatClient a = provider.GetRequiredKeyedService<IChatClient>("a"), b = provider.GetRequiredKeyedService<IChatClient>("b");

        // Nothing is loaded before the first request of each.
        Assert.Null(a.GetService<GenerationQueue>());
        string text = "";
        await foreach (ChatResponseUpdate update in a.GetStreamingResponseAsync("What is 2 plus 3?")) text += update.Text;
        Assert.NotEmpty(text);
        Assert.NotNull(a.GetService<GenerationQueue>());
        Assert.Null(b.GetService<GenerationQueue>());
        HealthReport report = await provider.GetRequiredService<HealthCheckService>().CheckHealthAsync();
        Assert.Equal((HealthStatus.Healthy, HealthStatus.Degraded), (report.Entries["a"].Status, report.Entries["b"].Status));
        Assert.Equal(["ready"], report.Entries["a"].Tags);
    }

    [Fact]
    public async Task A_model_that_cannot_be_loaded_is_unhealthy_and_every_request_says_why()
    {
        HostApplicationBuilder builder = Host.CreateEmptyApplicationBuilder(null);
        string folder = Directory.CreateTempSubdirectory("no-checkpoint").FullName;
        builder.Services.AddDiffusionGemma(folder);
        builder.Services.AddHealthChecks().AddDiffusionGemma();
        using IHost host = builder.Build();
        await host.StartAsync();                                                // does not wait, and does not fail
        IChatClient client = host.Services.GetRequiredService<IChatClient>();
        for (int i = 0; i < 2; i++)
        {
            Exception error = await Assert.ThrowsAnyAsync<IOException>(() => client.GetResponseAsync("?"));
            Assert.Contains(folder, error.Message, StringComparison.Ordinal);
        }
        HealthReport report = await host.Services.GetRequiredService<HealthCheckService>().CheckHealthAsync();
        HealthReportEntry entry = report.Entries["diffusiongemma"];
        Assert.Equal(HealthStatus.Unhealthy, entry.Status);
        Assert.Contains(folder, entry.Description, StringComparison.Ordinal);
        await host.StopAsync();
        Directory.Delete(folder);
    }

    [Fact]
    public async Task What_of_an_adapter_has_no_effect_is_a_warning_of_the_log()
    {
        using TemporaryFolder folder = Fixtures.Temporary();
        foreach (string name in (string[])["own", "named"])
        {
            string config = Path.Combine(DrawnAdapterFolder.Write(folder.File(name), 1), "adapter_config.json");
            string text = File.ReadAllText(config);
            File.WriteAllText(config, string.Concat(text.AsSpan(0, text.LastIndexOf('}')), ",\"rank_pattern\":{\"q_proj\":4}}"));
        }
        var log = new Lines();
        var services = new ServiceCollection();
        services.AddLogging(logging => logging.AddProvider(log));
        services.AddKeyedDiffusionGemma("a", Folder, options =>
        {
            (options.Device, options.BatchSize, options.Adapter) = ("cpu", 1, folder.File("own"));
            options.Adapters["named"] = folder.File("named");
        });
        await using ServiceProvider provider = services.BuildServiceProvider();
        DiffusionGemmaChatClient client = await provider.GetRequiredKeyedService<DiffusionGemmaService>("a").GetClientAsync();
        Assert.Contains("'rank_pattern' names 'q_proj'", Assert.Single(client.Notices), StringComparison.Ordinal);
        Assert.Equal(
            [$"{Folder}: {client.Notices[0]}", $"named: {client.Adapters["named"].Notices[0]}"], log.Warnings);
    }

    [Fact]
    public void Options_are_bound_from_configuration()
    {
        IConfiguration configuration = new ConfigurationBuilder().AddInMemoryCollection(new Dictionary<string, string?>
        {
            ["DiffusionGemma:Device"] = "cpu", ["DiffusionGemma:Precision"] = "Float64", ["DiffusionGemma:BatchSize"] = "3",
            ["DiffusionGemma:Generation:MaxNewTokens"] = "64", ["DiffusionGemma:StallTimeout"] = "00:01:00",
            ["DiffusionGemma:Quantization"] = "Int4",
        }).Build();
        DiffusionGemmaServiceOptions bound = new();
        configuration.GetSection("DiffusionGemma").Bind(bound);
        Assert.Equal(
            ("cpu", 3, 64, TimeSpan.FromMinutes(1)),
            (bound.Device, bound.BatchSize, bound.Generation?.MaxNewTokens, bound.StallTimeout));
        Assert.Equal(TorchSharp.torch.ScalarType.Float64, bound.Precision);
        Assert.Equal(Quantization.Int4, bound.Quantization);
    }

    [Fact]
    public async Task Weights_are_rounded_as_the_options_say()
    {
        var services = new ServiceCollection();
        services.AddDiffusionGemma(Folder, options => (options.Device, options.Quantization) = ("cpu", Quantization.Int8));
        await using ServiceProvider provider = services.BuildServiceProvider();
        DiffusionGemmaChatClient client = await provider.GetRequiredService<DiffusionGemmaService>().GetClientAsync();
        var model = (DiffusionGemmaModel)client.GetService(typeof(DiffusionGemmaModel))!;
        Assert.Equal(Quantization.Int8, model.Quantization);
    }

    [Fact]
    public void All_faults_of_the_options_are_in_one_message()
    {
        string message = Assert.Throws<ArgumentException>(() => new ServiceCollection().AddDiffusionGemma(Folder, options =>
        {
            (options.BatchSize, options.Device, options.Adapter) = (0, "gpu", " ");
            (options.StallTimeout, options.Precision) = (TimeSpan.Zero, TorchSharp.torch.ScalarType.Int32);
            options.Quantization = (Quantization)7;
        })).Message;
        foreach (string name in (string[])
            ["BatchSize is 0", "Device is 'gpu'", "Adapter", "StallTimeout", "Precision is Int32", "Quantization is 7"])
            Assert.Contains(name, message, StringComparison.Ordinal);
        foreach (string device in (string[])["cuda:-1", "cuda:x", "cpu:1:2", ""])
            Assert.Throws<ArgumentException>(() => new ServiceCollection().AddDiffusionGemma(Folder, options => options.Device = device));
    }

    private sealed class Lines : ILoggerProvider, ILogger
    {
        public List<string> Warnings { get; } = [];

        public ILogger CreateLogger(string categoryName) => this;

        public IDisposable? BeginScope<TState>(TState state)
            where TState : notnull => null;

        public bool IsEnabled(LogLevel logLevel) => true;

        public void Log<TState>(
            LogLevel logLevel, EventId eventId, TState state, Exception? exception, Func<TState, Exception?, string> formatter)
        {
            if (logLevel == LogLevel.Warning) Warnings.Add(formatter(state, exception));
        }

        public void Dispose()
        {
        }
    }
}
