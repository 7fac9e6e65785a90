using System.Net;
using System.Net.Http.Json;
using System.Text.Json.Nodes;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Hosting.Server;
using Microsoft.AspNetCore.Hosting.Server.Features;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;

namespace DiffusionGemma;

/// <summary>tiny-chat on Kestrel, on a free port of the loopback.</summary>
internal sealed class TestServer : IAsyncDisposable
{
    public const string Model = "tiny-chat";

    private TestServer(WebApplication application, LogLines log) => (Application, Log) = (application, log);

    public WebApplication Application { get; }

    public LogLines Log { get; }

    public Uri Address => new(
        Application.Services.GetRequiredService<IServer>().Features.Get<IServerAddressesFeature>()!.Addresses.Single());

    public HttpClient Client { get => field ??= new HttpClient { BaseAddress = Address, Timeout = TimeSpan.FromMinutes(5) }; private set; }

    public static async Task<TestServer> StartAsync(
        Action<DiffusionGemmaServerOptions>? configure = null, string? checkpoint = null, int batchSize = 8)
    {
        WebApplicationBuilder builder = WebApplication.CreateEmptyBuilder(new WebApplicationOptions());
        builder.Services.AddRoutingCore();
        builder.WebHost.UseKestrel();
        builder.WebHost.UseUrls("http://127.0.0.1:0");
        var log = new LogLines();
        builder.Logging.AddProvider(log);
        builder.Services.AddDiffusionGemma(
            checkpoint ?? Fixtures.Checkpoint(Model), options => (options.Device, options.BatchSize) = ("cpu", batchSize));
        WebApplication application = builder.Build();
        application.UseRouting();
        application.MapDiffusionGemma(options =>
        {
            options.ApiKey = null;
            configure?.Invoke(options);
        });
        await application.StartAsync();
        return new TestServer(application, log);
    }

    /// <summary>The body of a request with one question.</summary>
    public static JsonObject Ask(string question = "What is 2 plus 3?") => new()
    {
        ["model"] = Model,
        ["messages"] = new JsonArray(new JsonObject { ["role"] = "user", ["content"] = question }),
        ["seed"] = 3,
        ["max_tokens"] = 32,
    };

    public Task<HttpResponseMessage> PostAsync(JsonNode body) => Client.PostAsJsonAsync("v1/chat/completions", body);

    /// <summary>The answer to a body that is refused: its status, and the error's message and member.</summary>
    public async Task<(HttpStatusCode Status, string Message, string? Param)> RefusalAsync(JsonNode body)
    {
        using HttpResponseMessage response = await PostAsync(body);
        JsonNode error = (await response.Content.ReadFromJsonAsync<JsonNode>())!["error"]!;
        return (response.StatusCode, (string)error["message"]!, (string?)error["param"]);
    }

    public async ValueTask DisposeAsync()
    {
        Client.Dispose();
        await Application.StopAsync();
        await Application.DisposeAsync();
    }
}
